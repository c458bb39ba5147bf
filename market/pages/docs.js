"use strict";
const search = document.getElementById("search");
const operations = [...document.querySelectorAll("details.operation")];
const nothing = document.getElementById("nothing");

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const each of operations) {
    const text = each.dataset.words.toLowerCase();
    each.hidden = !words.every((word) => text.includes(word));
  }
  for (const section of document.querySelectorAll("section.tag")) {
    section.hidden = !section.querySelector("details.operation:not([hidden])");
  }
  nothing.hidden = operations.some((each) => !each.hidden);
}

function open() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const details = target && target.closest("details");
  if (details) {
    details.open = true;
    target.scrollIntoView();
  }
}

search.addEventListener("input", filter);
addEventListener("hashchange", open);
addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== search) {
    event.preventDefault();
    search.focus();
  }
});
filter();
open();
