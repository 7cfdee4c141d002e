// A picture from the camera: a dialog with what it sees; the file, or null.
import { makeButton } from "./dom.js";

export function takePhoto() {
  return new Promise((resolve) => {
    const dialog = Object.assign(document.createElement("dialog"), { className: "camera" });
    const video = Object.assign(document.createElement("video"), {
      autoplay: true,
      muted: true,
      playsInline: true,
    });
    const words = document.createElement("p");
    let stream = null;

    function close(file) {
      for (const track of stream?.getTracks() ?? []) track.stop();
      dialog.close();
      dialog.remove();
      resolve(file);
    }

    function snap() {
      const { videoWidth: width, videoHeight: height } = video;
      if (!width) return;
      const canvas = Object.assign(document.createElement("canvas"), { width, height });
      canvas.getContext("2d").drawImage(video, 0, 0);
      canvas.toBlob((blob) => close(new File([blob], "camera.png", { type: "image/png" })));
    }

    const row = Object.assign(document.createElement("div"), { className: "row" });
    row.append(
      makeButton("Take the picture", snap),
      makeButton("Cancel", () => close(null)),
    );
    dialog.append(video, words, row);
    dialog.addEventListener("cancel", () => close(null));
    document.body.append(dialog);
    dialog.showModal();
    const found = navigator.mediaDevices?.getUserMedia({ video: { facingMode: "user" } });
    Promise.resolve(found)
      .then((opened) => {
        stream = opened;
        video.srcObject = opened ?? null;
        if (!opened) throw new Error("no camera");
      })
      .catch(() => {
        words.textContent = "No camera is to be had here: it is missing, or not allowed.";
      });
  });
}
