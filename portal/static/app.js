/* Optional comfort only: every page works when this file is never loaded. */
"use strict";

/* Move the reader to the list of mistakes after a refused form. */
document.querySelector("[data-focus]")?.focus();

/* Things that make no sense without script are hidden until it runs. */
for (const element of document.querySelectorAll("[data-script]")) element.hidden = false;
document.querySelector("[data-print]")?.addEventListener("click", () => window.print());

/* Copy the text of the block named by data-copy, and say so. */
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = button.dataset.done;
  });
}

/* The clock on the page that shows a certificate: seconds until the code is void. */
const clock = document.querySelector("[data-seconds]");
if (clock) {
  const end = performance.now() + Number(clock.dataset.seconds) * 1000;
  const tick = () => {
    const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
    clock.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    if (left > 0) setTimeout(tick, 250);
  };
  tick();
}

/* Dropping a file anywhere on its form is the same as choosing it with the button. */
for (const input of document.querySelectorAll('input[type="file"]')) {
  const form = input.form;
  form.addEventListener("dragover", (event) => event.preventDefault());
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) input.files = event.dataTransfer.files;
  });
}

/* A form is sent once, even when the button is pressed twice. */
for (const form of document.querySelectorAll('form[method="post"]')) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
}
addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});

/* A page that waits for something short looks again by itself. */
if (document.querySelector("[data-reload]")) setTimeout(() => location.reload(), 2000);

/* Frames tell services that the person signed out; when all have answered the page leads on. */
const told = document.querySelectorAll("[data-told]");
if (told.length) {
  const tell = (state) => { state.textContent = state.dataset.told; };
  for (const state of told) {
    state.parentElement.querySelector("iframe").addEventListener("load", () => tell(state));
  }
  addEventListener("load", () => {
    told.forEach(tell);
    const on = document.querySelector("[data-leads-on]");
    if (on) setTimeout(() => location.replace(on.href), 1000);
  });
}
