"""The page's scripts and styles: put together as Gradio runs them, and played in a browser."""

import base64
import json
import re

import gradio as gr
import numpy as np
import pytest

from demo import assets, export, film, media, views
from demo.runs import Report

MODULES = sorted(path.name for path in assets.ASSETS.glob("*.js"))
TEXTS = {name: (assets.ASSETS / name).read_text(encoding="utf-8") for name in MODULES}
MOUNTED = [name for name in MODULES if "export function mount(" in TEXTS[name]]
NAMES = '"element", "trigger", "props", "server", "upload", "watch"'  # as Gradio calls the text
HOSTILE = '<script>alert("x")</script>'
DOT = "data:image/gif;base64,R0lGODlhAQABAAAAACw="


def imports(name):
    """(names, module) of each import."""
    return [
        ([one.strip() for one in names.split(",") if one.strip()], f"{module}.js")
        for names, module in assets.IMPORT.findall(TEXTS[name])
    ]


# ---- Modules


def test_every_module_is_mounted_or_imported():
    imported = {module for name in MODULES for _, module in imports(name)}
    assert imported | set(MOUNTED) == set(MODULES)
    assert {"grid.js", "photo.js", "player.js"} <= set(MOUNTED)


def test_what_is_imported_is_exported_and_used():
    for name in MODULES:
        for names, module in imports(name):
            assert set(names) <= set(assets.EXPORT.findall(TEXTS[module]))
            assert all(len(re.findall(rf"\b{one}\b", TEXTS[name])) > 1 for one in names)


@pytest.mark.parametrize("name", MOUNTED)
def test_a_script_is_one_text_in_which_what_a_module_needs_stands_before_it(name):
    text = assets.script(name)
    assert not re.search(r"^(import|export)\b", text, re.M)
    begun = re.findall(r"^const \$(\w+) = \(\(\) => \{$", text, re.M)
    assert begun[-1] == name.removesuffix(".js") and len(set(begun)) == len(begun)
    for index, module in enumerate(begun):
        needed = {other.removesuffix(".js") for _, other in imports(f"{module}.js")}
        assert needed <= set(begun[:index])


@pytest.mark.parametrize("line", ["import pen from './pen.js';", "export default 1;"])
def test_a_form_that_cannot_be_put_together_is_refused(line, tmp_path, monkeypatch):
    (tmp_path / "odd.js").write_text(f"{line}\n")
    monkeypatch.setattr(assets, "ASSETS", tmp_path)
    with pytest.raises(ValueError, match=re.escape(line)):
        assets.script("odd.js")


# ---- Styles


def test_no_selector_has_a_comma_that_gradio_would_split():
    styles = "".join(style.read_text(encoding="utf-8") for style in assets.STYLES)
    text = re.sub(r"/\*.*?\*/", "", styles, flags=re.S)
    selectors = re.findall(r"^(?! )[^@}\n][^{]*(?=\{)", text, re.M)
    assert len(selectors) > 50
    assert not [one for one in selectors if re.search(r"\([^)]*,", one)]


# ---- Films


def test_a_film_tells_its_track():
    facts = json.loads(film.pictures({"a": [DOT] * 3}, "xyz", 4, ("l", "m", "r"), length=9))
    assert facts["track"] == {"length": 8, "split": 4, "ends": ["l", "m", "r"]}
    assert facts["times"] == [0, 1, 2] and facts["start"] == 2 and facts["captions"] == list("xyz")
    assert json.loads(film.pictures({"a": [DOT]}, "x"))["track"]["length"] == 1  # no division by 0
    facts = json.loads(film.particles({"count": 7}, [0, 1 / 3, 2.0], 1, ("", "", "")))
    assert facts["times"] == [0, 0.33333, 2] and facts["track"]["length"] == 2
    assert facts["count"] == 7


# ---- In a browser


@pytest.fixture
def page(browser):
    """A bare page that mounts scripts as Gradio does; its errors fail the test."""
    page, errors = browser.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.add_script_tag(
        content=f"""
        const props = {{value: ""}}, sent = [];
        let changed;
        function mount(text) {{
          const element = document.body.appendChild(document.createElement("div"));
          const trigger = (name, data) => sent.push([name, data]);
          const watch = (name, callback) => {{ changed = callback; }};
          Function({NAMES}, text)(element, trigger, props, {{}}, null, watch);
        }}
        function send(value) {{ props.value = value; changed(); }}"""
    )
    yield page
    page.close()
    assert not errors


def mount(page, name, value=""):
    page.evaluate("value => { props.value = value; }", value)
    page.evaluate("text => mount(text)", assets.script(name))


def pictures(count=5, **options):
    frames = {"one": [DOT] * count, "two": [DOT] * count}
    return film.pictures(frames, [f"frame {k}" for k in range(count)], **options)


def particles(times=(), **options):
    nothing = {"particles": "", "colours": "", "truth": "", "truthColours": "", "palette": []}
    facts = {"extent": 8, "step": 1, "count": 0, "sigma": 1, "tau": 1, "title": "run"}
    return film.particles(nothing | facts | {"play": False} | options, times, 1, ("", "", ""))


def test_scripts_mount_without_a_value(page):
    for name in MOUNTED:
        mount(page, name)


def test_the_player_steps_scrubs_and_takes_keys(page):
    mount(page, "player.js", pictures(start=2, split=2))
    caption, track = page.locator(".caption"), page.locator("input")
    assert caption.inner_text() == "frame 2"
    page.click("[data-do=forward]")
    assert caption.inner_text() == "frame 3" == track.get_attribute("aria-valuetext")
    page.locator("img").focus()
    page.keyboard.press("ArrowLeft")
    assert caption.inner_text() == "frame 2"
    track.fill("4")
    page.click("[data-do=forward]")  # no further than the end
    assert caption.inner_text() == "frame 4"
    assert page.locator(".track").evaluate("e => e.style.getPropertyValue('--split')") == "50%"


def test_home_end_and_a_loop(page):
    mount(page, "player.js", pictures(start=2, returns=True))
    page.locator("img").focus()
    for key, caption in (("Home", "frame 0"), ("End", "frame 4")):
        page.keyboard.press(key)
        assert page.inner_text(".caption") == caption
    page.keyboard.press("l")
    assert page.get_attribute("[data-do=loop]", "aria-pressed") == "true"
    page.select_option("select", "2")
    page.keyboard.press(" ")  # from the beginning, to the end, and back the way it came
    for value in (4, 1, 3):
        page.wait_for_function(f"document.querySelector('input').value == {value}")
    assert page.inner_text("[data-do=play]") == "❚❚ pause"


def test_the_player_plays_to_the_end_and_pauses(page):
    mount(page, "player.js", pictures(start=4))
    page.locator("img").focus()
    page.keyboard.press(" ")
    assert page.inner_text("[data-do=play]") == "❚❚ pause"
    page.wait_for_function("document.querySelector('input').value > 1")
    page.wait_for_function("document.querySelector('[data-do=play]').textContent == '▶ play'")
    assert page.inner_text(".caption") == "frame 4"


def test_another_layer_and_a_longer_film(page):
    mount(page, "player.js", pictures(start=1))
    page.click("text=two")
    pressed = [b.get_attribute("aria-pressed") for b in page.locator(".extras button").all()]
    assert pressed == ["false", "true"]
    page.evaluate("value => send(value)", pictures(start=0))  # of the same length: it stays
    assert page.inner_text(".caption") == "frame 1"
    page.evaluate("value => send(value)", pictures(7))
    assert page.inner_text(".caption") == "frame 6"
    page.evaluate("send('')")
    assert page.locator(".player").count() == 0


def test_names_and_captions_stay_text(page):
    layers = {HOSTILE: [DOT], "b": [DOT]}
    mount(page, "player.js", film.pictures(layers, [HOSTILE], ends=(HOSTILE,) * 3))
    assert page.inner_text(".caption") == HOSTILE
    assert page.locator(".player script").count() == 0


def test_the_lab_takes_a_drawing_by_keys(page):
    mount(page, "player.js", particles(drawing=True, hint="draw"))
    assert page.inner_text(".caption") == "draw"
    page.locator(".truth canvas").focus()
    for key in (" ", "ArrowRight", "ArrowUp", " "):
        page.keyboard.press(key)
    ((name, data),) = page.evaluate("sent")
    assert name == "input"
    assert np.allclose(data["strokes"], [[[0, 0], [0.2, 0], [0.2, 0.2]]])
    page.click("text=undo")
    assert page.evaluate("sent")[-1][1] == {"strokes": []}


def test_particles_play_once_seen_and_stop_for_reduced_motion(page):
    one = {"particles": "AAAAAAEAAQACAAIA", "colours": "AA==", "palette": ["#f00"], "count": 1}
    one |= {"truth": "AAAAAAAAAAAAAAAA", "truthColours": "AA==", "play": True}
    moving = particles([0, 1, 2], **one)
    mount(page, "player.js", moving)
    page.wait_for_function("document.querySelector('input').value > 0.1")
    page.emulate_media(reduced_motion="reduce")
    page.evaluate("value => send(value)", moving)
    assert page.inner_text("[data-do=play]") == "▶ play"
    assert page.inner_text(".caption") == "end of stage 2: the data"


def test_the_pad_waits_for_the_hand_to_rest(page):
    glyphs = {"1": [[[0.5, 0.1], [0.5, 0.9]]]}
    value = {"one": "digit", "pen": 0.1, "glyphs": glyphs, "strokes": []}
    mount(page, "pad.js", json.dumps(value))
    page.click("[aria-label='digit 1']")
    assert page.evaluate("sent.map(one => one[0])") == ["edit"]
    page.wait_for_function("sent.length == 2")
    assert page.evaluate("sent[1]") == ["input", {"strokes": glyphs["1"]}]


def test_a_face_tells_its_action_and_index(page):
    mount(page, "grid.js")
    grid = views.face_grid([np.zeros((4, 4, 3), np.float32)] * 2, "ab", [("keep", "keep")])
    page.evaluate("html => { document.querySelector('div').innerHTML = html; }", grid)
    page.locator("[data-action=keep]").nth(1).click()
    assert page.evaluate("sent") == [["click", {"action": "keep", "index": 1}]]


# ---- Recipes


PNG = [
    base64.b64encode(media.png_bytes(np.zeros((4, 4, 3), np.float32), info)).decode()
    for info in (None, {"seed": 7})
]
TEXT = base64.b64encode(b'{"seed": 8}').decode()


def file_for(page, content, name, kind):
    """A handle of what a drag of a file carries."""
    return page.evaluate_handle(
        """([data, name, type]) => {
          const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
          const carried = new DataTransfer();
          carried.items.add(new File([bytes], name, { type }));
          return carried;
        }""",
        [content, name, kind],
    )


@pytest.mark.parametrize(
    ("content", "name", "kind", "found"),
    [
        (PNG[1], "a.png", "image/png", '"seed": 7'),
        (PNG[1], "renamed", "", '"seed": 7'),
        (PNG[0], "a.png", "image/png", ""),
        (TEXT, "a.json", "application/json", '{"seed": 8}'),
        (TEXT, "a.jpg", "image/jpeg", ""),
    ],
)
def test_a_drop_on_the_page_sends_the_text_of_a_recipe_and_no_picture(
    page, content, name, kind, found
):
    mount(page, "recipe.js")
    held = file_for(page, content, name, kind)
    for event in ("dragover", "drop"):
        page.dispatch_event("body", event, {"dataTransfer": held})
    page.wait_for_function("sent.length")
    ((event, data),) = page.evaluate("sent")
    assert event == "input" and data.keys() == {"text"}
    assert found in data["text"] and bool(found) == bool(data["text"])
    assert page.locator(".dropping").count() == 0


def test_what_an_upload_box_takes_is_left_to_it(page):
    mount(page, "recipe.js")
    page.evaluate(
        """() => {
          const box = document.body.appendChild(document.createElement("div"));
          box.id = "box";
          for (const kind of ["dragover", "drop"])
            box.addEventListener(kind, (event) => event.preventDefault());
        }"""
    )
    held = file_for(page, PNG[1], "a.png", "image/png")
    page.dispatch_event("#box", "dragover", {"dataTransfer": held})
    assert page.locator(".dropping").count() == 0
    page.dispatch_event("#box", "drop", {"dataTransfer": held})
    text = page.evaluate_handle(
        "() => { const t = new DataTransfer(); t.setData('text/plain', 'words'); return t; }"
    )
    page.dispatch_event("body", "drop", {"dataTransfer": text})
    page.wait_for_timeout(200)
    assert page.evaluate("sent") == []


def test_a_recipe_is_chosen_by_keys_again_and_again_and_a_refusal_is_said(page, tmp_path):
    mount(page, "recipe.js")
    (tmp_path / "a.json").write_text('{"seed": 8}')
    for count in (1, 2):
        with page.expect_file_chooser() as chooser:
            page.locator("button").press("Enter")
        chooser.value.set_files(tmp_path / "a.json")
        page.wait_for_function(f"sent.length == {count}")
    assert page.locator("[role=alert]").inner_text() == ""
    page.evaluate("send('<b>This</b> is no recipe.')")
    assert page.locator("[role=alert]").inner_text() == "<b>This</b> is no recipe."


def test_a_download_tells_its_kind(page):
    mount(page, "export.js")
    with gr.Blocks():
        row = export.Export({"png": "PNG", "film strip": "strip"}, lambda kind: None, []).row
    page.evaluate("html => { document.querySelector('div').innerHTML = html; }", row.value)
    page.click("text=strip")
    page.click(".export", position={"x": 2, "y": 2})  # no button
    assert page.evaluate("sent") == [["click", {"kind": "film strip"}]]


def test_the_status_line_copies_recipe_and_link(page):
    mount(page, "status.js")
    facts = {"operation": "generate", "parameters": {"seed": 7, "solver": None}}
    report = Report(model="m", seed=7, mode="fast", solver="ddim", steps=1, nfe=1, seconds=1)
    line = views.done_html(report, facts=facts)
    page.evaluate("html => { document.querySelector('div').innerHTML = html; }", line)
    page.evaluate(
        """() => {
          window.copied = [];
          document.execCommand = () => copied.push(document.activeElement.value);
        }"""
    )
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    for text in ("copy recipe", "copy link"):
        page.click(f"text={text}")
    first, second = page.evaluate("copied")
    assert json.loads(first) == facts
    assert second.endswith("?op=generate&seed=7&solver=")
    assert page.locator("button.copied").count() == 2
    assert "button" not in views.done_html(report)


def test_a_click_enlarges_a_face_and_its_buttons_stand_there_in_words(page):
    mount(page, "grid.js")
    faces = [np.full((4, 4, 3), k / 4, np.float32) for k in range(3)]
    grid = views.face_grid(faces, "abc", [("evolve", "evolve")], {}, seed=7)
    page.evaluate("html => { document.querySelector('div').innerHTML = html; }", grid)
    page.click("img[alt=b]")
    box = page.locator("dialog.lightbox")
    assert box.locator("figcaption").inner_text() == "b"
    assert box.locator(".actions button").all_inner_texts() == ["evolve", "download"]
    for key, caption in (("ArrowRight", "c"), ("ArrowRight", "a"), ("ArrowLeft", "c")):
        page.keyboard.press(key)
        assert box.locator("figcaption").inner_text() == caption
    page.keyboard.press("Escape")
    assert not box.is_visible()
    page.click("img[alt=c]")
    box.get_by_text("evolve").click()
    ((name, data),) = page.evaluate("sent")
    assert name == "click" and not box.is_visible()
    assert (data["action"], data["index"], data["seed"]) == ("evolve", 2, 9)
    assert data["picture"] == views.data_uri(faces[2], {"picture": 2})


def test_a_click_on_a_sample_is_its_first_action(page):
    mount(page, "grid.js")
    grid, _ = views.samples([np.zeros((4, 4, 3), np.float32)] * 2, [("inpaint", "use")])
    page.evaluate("html => { document.querySelector('div').innerHTML = html; }", grid)
    page.locator("img").nth(1).click()
    assert page.evaluate("sent") == [["click", {"action": "inpaint", "index": 1}]]
    assert page.locator("dialog").count() == 0


def test_the_last_runs_are_remembered_and_come_back(page):
    mount(page, "grid.js")
    page.evaluate("""text => {
      document.body.replaceChildren(); props.value = ''; mount(text);
      Object.defineProperty(props, 'value', {
        get: () => document.querySelector('div').innerHTML,
        set: (html) => { document.querySelector('div').innerHTML = html; } });
    }""", assets.script("grid.js", '{"history": true}'))  # fmt: skip
    run = [
        views.face_grid([np.full((4, 4, 3), k, np.float32)], [f"run {k}"], (), {}) for k in (0, 1)
    ]
    row = page.locator(".history button")
    preview = views.face_grid([np.zeros((4, 4, 3), np.float32)], ["drawing"])
    for value in (run[0], preview, run[1]):
        page.evaluate("value => send(value)", value)
    assert [b.get_attribute("title") for b in row.all()] == ["back to run 1", "back to run 0"]
    row.nth(1).click()
    assert page.inner_text("figcaption span") == "run 0"
    assert [b.get_attribute("aria-pressed") for b in row.all()] == ["false", "true"]
