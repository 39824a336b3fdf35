"use strict";
const $ = (id) => document.getElementById(id);
const lines = [...document.querySelectorAll("tr.line")];

function open(id, wanted) {
  const section = $(id);
  if (!section || section.tagName !== "SECTION") return;
  const more = section.closest("tr");
  section.hidden = !wanted;
  more.hidden = ![...more.querySelectorAll("section")].some((each) => !each.hidden);
  document.querySelector(`[aria-controls="${CSS.escape(id)}"]`).setAttribute("aria-expanded", wanted);
}

for (const button of document.querySelectorAll("td[data-column] button")) {
  button.addEventListener("click", () => {
    const id = button.getAttribute("aria-controls");
    const wanted = $(id).hidden;
    open(id, wanted);
    if (wanted) history.replaceState(null, "", "#" + encodeURI(id));
  });
}

// A page opened from a file has no clipboard interface in some browsers: the text is selected.
for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    const code = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "selected";
    }
  });
}

function matches(line, words, verdict, odd) {
  const more = line.nextElementSibling;
  const text = (line.dataset.name + " " + more.textContent).toLowerCase();
  const cells = [...line.querySelectorAll("td[data-column]")];
  return words.every((word) => text.includes(word))
    && (!verdict || cells.some((cell) => cell.dataset.verdicts.split("|").includes(verdict)))
    && (!odd || cells.some((cell) => cell.dataset.tone === "bad"));
}

function filter() {
  const words = $("text").value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const line of lines) {
    const shown = matches(line, words, $("verdict").value, $("odd").checked);
    const more = line.nextElementSibling;
    line.hidden = !shown;
    more.hidden = !shown || ![...more.querySelectorAll("section")].some((each) => !each.hidden);
    count += shown;
  }
  $("shown").textContent = count === lines.length ? "" : `${count} of ${lines.length}`;
}

function follow() {
  const id = decodeURIComponent(location.hash.slice(1));
  open(id, true);
  $(id)?.scrollIntoView();
}

document.querySelector(".filter").addEventListener("input", filter);
document.querySelector(".filter").addEventListener("submit", (event) => event.preventDefault());
addEventListener("hashchange", follow);
follow();
