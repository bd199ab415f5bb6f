/* The way from Locust's pages to ours: its tab `Chaos`, and a link where it shows no tabs. */
"use strict";

(() => {
  const page = new URL("./chaos/", document.baseURI).href;

  // Locust's tabs hold tables only. Before its own listener hears of it, ours goes to the page.
  document.addEventListener("click", (event) => {
    const tab = event.target instanceof Element && event.target.closest('[role="tab"]');
    if (tab && tab.textContent.trim() === "Chaos") {
      event.preventDefault();
      event.stopPropagation();
      location.assign(page);
    }
  }, true);

  if (new URLSearchParams(location.search).get("tab") === "chaos") {
    location.replace(page);
  }

  const link = document.createElement("a");
  link.href = page;
  link.id = "to-chaos";
  link.textContent = "Chaos";
  link.style.cssText = "color:inherit;font:600 .95rem system-ui,sans-serif;margin:0 auto 0 1.5rem;padding-right:1rem;" +
    "text-underline-offset:3px";

  function place() {
    if (link.isConnected) {
      return;
    }
    const logo = document.querySelector("header a");
    if (logo) {
      logo.after(link);
    }
  }
  new MutationObserver(place).observe(document.body, { childList: true, subtree: true });
  place();
})();
