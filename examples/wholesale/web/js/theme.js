// Sets the colour scheme before the first paint; not a module, so that it runs at once.
"use strict";
(() => {
  const names = { auto: "Automatic", light: "Light", dark: "Dark" };
  const order = Object.keys(names);
  const read = () => {
    try {
      const stored = localStorage.getItem("theme");
      return stored in names ? stored : "auto";
    } catch {
      return "auto"; // storage may be forbidden
    }
  };
  const show = (theme) => {
    document.documentElement.dataset.theme = theme;
    const label = document.getElementById("theme-name");
    if (label) {
      label.textContent = names[theme];
      label.parentElement.title = `Colours: ${names[theme]}`;
    }
  };
  show(read());
  addEventListener("DOMContentLoaded", () => {
    show(read());
    document.getElementById("theme").addEventListener("click", () => {
      const next = order[(order.indexOf(document.documentElement.dataset.theme) + 1) % order.length];
      try {
        localStorage.setItem("theme", next);
      } catch {
        // Then it holds until the page is closed.
      }
      show(next);
    });
  });
})();
