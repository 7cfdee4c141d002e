"""Loading recipes: from a file that is chosen or dropped, or from the address of the page.

A tab declares its form; what a recipe names is set there, whatever the tab.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

from demo import assets, recipe, views
from demo.models import Models
from demo.recipe import Recipe
from demo.tab import Tab
from demo.wiring import QUIET, sentences

Changes = dict[Any, Any]


def loader() -> gr.HTML:
    """The button that loads a recipe; its value is what could not be used."""
    js = assets.script("recipe.js")
    return gr.HTML("", html_template="", js_on_load=js, elem_id="recipe", min_width=120)


class Restorer:
    """Sets the controls of the tab that a recipe belongs to.

    Args:
        models: On offer.
        loader: See `loader`.
        tabs: Of the page.
        model: The picker of the models that draw pictures.
        built: The tabs by their ids.
        worked: The example of a tab, by its id and the name of the model.
    """

    def __init__(
        self,
        models: Models,
        loader: gr.HTML,
        tabs: gr.Tabs,
        model: gr.Dropdown,
        built: Mapping[str, Tab],
        worked: Callable[[str, str | None], Sequence[Any]],
    ) -> None:
        self.models, self.loader, self.tabs, self.model = models, loader, tabs, model
        self.built, self.worked = built, worked
        named = [(name, tab.operation) for name, tab in built.items() if tab.form and tab.operation]
        self.operations = {operation.name: operation for _, operation in named}
        self.homes = {operation.name: name for name, operation in named}

    def wire(self, page: gr.Blocks) -> Any:
        """Listen to the loader and to the address: the event of the latter, for what follows it."""
        inputs = [self.model, *(tab.status for tab in self.built.values())]
        outputs = [self.loader, self.tabs, self.model, *self._changed()]

        def load(event: gr.EventData, chosen: str | None, *statuses: str) -> Changes:
            text = str(getattr(event, "text", ""))
            return self.loaded(text, chosen, dict(zip(self.built, statuses, strict=True)))

        def follow(request: gr.Request, chosen: str | None, *statuses: str) -> Changes:
            query = {str(name): str(value) for name, value in request.query_params.items()}
            return self.followed(query, chosen, dict(zip(self.built, statuses, strict=True)))

        self.loader.input(load, inputs, outputs, **QUIET)
        return page.load(follow, inputs, outputs, **QUIET)

    def loaded(self, text: str, chosen: str | None, statuses: Mapping[str, str]) -> Changes:
        """What the text of a recipe changes, or why it cannot be used.

        Args:
            text: JSON; "" if a picture carries none.
            chosen: Name of the model in the picker.
            statuses: Status lines of the tabs.
        """
        try:
            with sentences():
                read = recipe.read(text, self.operations, self.models)
                return self._changes(read, chosen, statuses)
        except gr.Error as error:
            return self._refused(error)

    def followed(
        self, query: Mapping[str, str], chosen: str | None, statuses: Mapping[str, str]
    ) -> Changes:
        """The same for the query of an address; none if it is no link."""
        try:
            with sentences():
                read = recipe.follow(query, self.operations, self.models)
                return self._changes(read, chosen, statuses) if read else {self.loader: gr.skip()}
        except gr.Error as error:
            home = self.homes.get(query["op"])
            if home is None:
                return self._refused(error)
            line = views.error_html(str(error.message))
            return {self.tabs: gr.Tabs(selected=home), self.built[home].status: line}

    def _refused(self, error: gr.Error) -> Changes:
        """The sentence beside the button, and where it is seen from further down."""
        gr.Warning(str(error.message))
        return {self.loader: str(error.message)}

    def _changes(self, read: Recipe, chosen: str | None, statuses: Mapping[str, str]) -> Changes:
        """Controls, and the examples of a tab that was empty so far or of another model."""
        home = self.homes[read.operation]
        tab, named = self.built[home], read.values.get("model")
        assert tab.form is not None
        anew = tab.form["model"] is self.model and named not in (None, chosen) if named else False
        changes: Changes = {self.loader: "", self.tabs: gr.Tabs(selected=home)}
        for name, one in self.built.items():
            if one.example and (anew or (name == home and not statuses[name])):
                values = self.worked(name, named if anew else chosen)
                changes |= zip([*one.fills, one.status], values, strict=True)
        for component, value in tab.form.restored(read).items():
            bounds = changes.get(component)
            update = isinstance(bounds, dict) and "__type__" in bounds
            changes[component] = bounds | {"value": value} if update else value
        changes |= zip(tab.restores, tab.restore(read.values), strict=True)
        return changes | {tab.status: views.note_html(hint(read, tab))}

    def _changed(self) -> list[Any]:
        """All components that a recipe may change."""
        changed: dict[Any, None] = {}
        for tab in self.built.values():
            form = tab.form.inputs if tab.form else []
            changed |= dict.fromkeys([*tab.fills, *tab.restores, *form, tab.status])
        changed.pop(self.model, None)
        return list(changed)


def hint(read: Recipe, tab: Tab) -> str:
    """What was loaded, and what is next."""
    seed, press = read.values.get("seed"), tab.run.value if tab.run else "the button"
    what = f"Recipe of {read.operation}" + ("" if seed is None else f", seed {seed}")
    needs = f"bring its {' and '.join(read.uploads)}, then press" if read.uploads else "press"
    return " ".join([f"{what}: {needs} {press} to draw it again.", *read.remarks])
