"use strict";
// The search box. Whatever a sheet says is only ever put in as text.
(() => {
  const SHOWN_MAX = 50;
  const NUMBER = 0, STATUS = 1, ID = 2, CODE = 3, TEXT = 4, ATTEMPTS = 5, TIME = 6, CELLS = 7, DIFFERENT = 8;
  const data = JSON.parse(document.getElementById("rows-data").textContent);
  const found = document.getElementById("search-found");
  const status = document.getElementById("search-status");
  const input = document.getElementById("search");
  const section = document.getElementById("find");
  const byNumber = new Map(data.rows.map((row) => [row[NUMBER], row]));

  const element = (name, text, parent, className) => {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    if (className) made.className = className;
    if (parent) parent.append(made);
    return made;
  };
  const fact = (list, name, text) => {
    if (text === "" || text === undefined || text === null) return;
    const pair = element("div", "", list);
    element("dt", name, pair);
    element("bdi", String(text), element("dd", "", pair));
  };

  const rangeOf = (number) => {
    let low = 0, high = data.ranges.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const [first, last, word] = data.ranges[middle];
      if (number < first) high = middle - 1;
      else if (number > last) low = middle + 1;
      else return word;
    }
    return "";
  };
  const rowOf = (number) => {
    const row = byNumber.get(number);
    if (row) return row;
    const word = rangeOf(number);
    return word ? [number, word, "", "", -1, null, "", [], []] : null;
  };

  const MEANINGS = {
    created: "is in LeadSquared.", failed: "was not created.", invalid: "was not sent.",
    uncertain: "may or may not be in LeadSquared.", pending: "was not sent yet.", skipped: "was left out.",
  };
  const card = (row) => {
    const article = element("article", "", found, "found");
    const heading = element("h3", "Row " + row[NUMBER] + " ", article);
    element("span", row[STATUS], heading, "tag s-" + row[STATUS] + "-tag");
    element("p", "It " + MEANINGS[row[STATUS]], article);
    const list = element("dl", "", article);
    if (row[TEXT] >= 0) fact(list, "Message", data.texts[row[TEXT]]);
    fact(list, "Code", row[CODE]);
    fact(list, "Activity Id", row[ID]);
    fact(list, "Attempts", row[ATTEMPTS]);
    fact(list, "Last change", row[TIME] && new Date(row[TIME]).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" }));
    for (const [name, verdict, sent, stored] of row[DIFFERENT]) {
      const words = verdict === "not found" ? "not found in LeadSquared"
        : name + ": sent “" + sent + "”, " + (stored ? "stored “" + stored + "”" : "returned empty");
      fact(list, "Read back", words);
    }
    row[CELLS].forEach((cell, index) => fact(list, data.header[index] || "Column " + (index + 1), cell));
    if (row[ATTEMPTS] === null) {
      element("p", "Its Id and cells are in the results file.", article, "small");
    }
  };

  const numbersIn = (text) => {
    const span = /^(?:rows?\s*)?(\d{1,9})(?:\s*(?:-|–|to)\s*(\d{1,9}))?$/i.exec(text);
    return span ? [Number(span[1]), Number(span[2] || span[1])] : null;
  };
  const byNumbers = ([first, last]) => {
    const rows = [];
    for (let number = first; number <= last && rows.length <= SHOWN_MAX; number += 1) {
      const row = rowOf(number);
      if (row) rows.push(row);
    }
    return rows;
  };
  const byText = (text) => {
    const wanted = text.toLowerCase();
    const rows = [];
    for (const row of data.rows) {
      const texts = [row[STATUS], row[ID], row[CODE], row[TEXT] >= 0 ? data.texts[row[TEXT]] : "", ...row[CELLS]];
      if (texts.some((each) => each.toLowerCase().includes(wanted))) rows.push(row);
      if (rows.length > SHOWN_MAX) break;
    }
    return rows;
  };

  const nothing = (span) => {
    if (!span) return "No row has that" + (data.every ? "." : " among those that the search knows.");
    if (data.cut && span[1] >= data.cut) return "This page does not have that row: see the results file.";
    return span[0] === span[1] ? "The sheet has no row " + span[0] + " with content." : "The sheet has no such rows.";
  };
  const find = () => {
    const text = input.value.trim();
    found.replaceChildren();
    status.textContent = "";
    section.classList.remove("has-found");
    if (!text) return;
    const span = numbersIn(text);
    let rows = span ? byNumbers(span) : byText(text);
    const asCell = !rows.length && span;
    if (asCell) rows = data.rows.filter((row) => row[CELLS].includes(text)).slice(0, SHOWN_MAX + 1);
    const more = rows.length > SHOWN_MAX;
    status.textContent = !rows.length ? nothing(span)
      : asCell ? "No row has that number, but it stands in a cell of:"
      : more ? "More than " + SHOWN_MAX + " rows; the first " + SHOWN_MAX + ":"
      : rows.length === 1 ? "1 row:" : rows.length + " rows:";
    rows.slice(0, SHOWN_MAX).forEach(card);
    section.classList.toggle("has-found", rows.length > 0);  // then it is printed
  };

  let waiting = 0;
  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(find, 150);
  });
  document.getElementById("search-form").addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(waiting);
    find();
  });
  section.hidden = false;
  document.getElementById("nav-find").hidden = false;
  // `report.html#row-812` opens at that row.
  const asked = /^#row-(\d{1,9})$/.exec(location.hash);
  if (asked) {
    input.value = asked[1];
    find();
    section.scrollIntoView();
  }
})();
