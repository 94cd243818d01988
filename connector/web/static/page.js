// Reports that a person sees the document, and shows it beside the words where there is room.
(function () {
  "use strict";
  var report = document.currentScript.getAttribute("data-opened");
  var SEEN_MS = 2000;

  // Seen: two seconds in front of the eyes, or a touch, a key, a scroll before that.
  function watch() {
    var timer = null, sent = false;
    function send() {
      if (sent) return;
      sent = true;
      clearTimeout(timer);
      fetch(report, { method: "POST", keepalive: true, credentials: "omit" }).catch(function () {});
    }
    function look() {
      clearTimeout(timer);
      if (document.visibilityState === "visible" && !document.prerendering) timer = setTimeout(send, SEEN_MS);
    }
    document.addEventListener("visibilitychange", look);
    document.addEventListener("prerenderingchange", look);
    ["pointerdown", "keydown", "wheel", "touchmove"].forEach(function (what) {
      addEventListener(what, function (event) { if (event.isTrusted) send(); }, { passive: true });
    });
    look();
  }

  // The PDF itself, only where the browser shows PDFs and the screen is wide.
  function preview() {
    var place = document.querySelector("[data-preview]");
    if (!place || !navigator.pdfViewerEnabled || !matchMedia("(min-width: 1000px)").matches) return;
    var frame = document.createElement("iframe");
    frame.src = place.getAttribute("data-preview") + "#toolbar=0&navpanes=0&view=FitH";
    frame.title = place.getAttribute("data-title") || "";
    place.appendChild(frame);
    document.documentElement.classList.add("with-preview");
  }

  if (report) watch();
  preview();
})();
