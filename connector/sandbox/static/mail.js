// The mail box: a list of letters, one letter with its attachments.

import { $, ask, countLetters, day, fileChip, h, icon, time, watch } from "./common.js";

let letters = [];
let known = null;

function draw(fresh = new Set()) {
  const wanted = $("search").value.trim().toLowerCase();
  const shown = letters.filter((letter) => [letter.subject, letter.to, letter.text].join(" ").toLowerCase().includes(wanted));
  $("list").replaceChildren(...(shown.length ? shown.map((letter) => item(letter, fresh)) : [empty()]));
  open();
}

const empty = () => (letters.length ? h("p", { class: "column__more" }, "Ничего не найдено") : $("empty").content.cloneNode(true));

function item(letter, fresh) {
  return h("a", {
    class: `mailitem${fresh.has(letter.id) ? " is-fresh" : ""}`, href: `#${letter.id}`, "data-id": letter.id,
    "aria-current": String(letter.id) === location.hash.slice(1) ? "true" : null,
  },
    h("span", { class: "mailitem__to" }, letter.envelope.to.join(", ")),
    h("time", {}, day(letter.received_at) === "Сегодня" ? time(letter.received_at) : day(letter.received_at)),
    h("span", { class: "mailitem__subject" }, letter.subject || "Без темы"),
    h("span", { class: "mailitem__text" }, letter.text.replace(/\s+/g, " ").slice(0, 120)),
    letter.attachments.length ? h("span", { class: "mark mark--file" }, icon("clip"), String(letter.attachments.length)) : null);
}

let shownId = null;

function open() {
  const letter = letters.find((one) => String(one.id) === location.hash.slice(1));
  document.body.classList.toggle("has-letter", Boolean(letter));
  for (const node of document.querySelectorAll(".mailitem")) {
    if (letter && node.dataset.id === String(letter.id)) node.setAttribute("aria-current", "true");
    else node.removeAttribute("aria-current");
  }
  if (!letter) {
    shownId = null;
    $("letter").replaceChildren(letters.length ? h("p", { class: "column__more" }, "Выберите письмо слева.") : "");
    return;
  }
  if (shownId === letter.id) return;
  shownId = letter.id;
  const line = (name, value) => (value ? h("p", { class: "letter__line" }, h("span", {}, name), h("span", {}, value)) : null);
  const base = `/sandbox/mail/${letter.id}`;
  $("letter").replaceChildren(
    h("a", { class: "letter__back", href: "#" }, "← Все письма"),
    h("h1", {}, letter.subject || "Без темы"),
    line("От", letter.from), line("Кому", letter.to), line("Получено", `${day(letter.received_at)}, ${time(letter.received_at)}`),
    letter.attachments.length ? h("div", { class: "files" }, letter.attachments.map((file) => fileChip({ ...file, url: new URL(file.url).pathname }))) : null,
    letter.html
      ? h("iframe", { class: "letter__html", src: `${base}/html`, title: "Текст письма", sandbox: "allow-popups allow-popups-to-escape-sandbox" })
      : h("pre", { class: "letter__text" }, letter.text),
    h("details", { class: "letter__more" }, h("summary", {}, "Заголовки"),
      h("pre", {}, Object.entries(letter.headers).map(([name, value]) => `${name}: ${value}`).join("\n")),
      h("p", {}, h("a", { href: `${base}/raw`, target: "_blank" }, "Письмо целиком, как пришло"))));
}

async function refresh() {
  letters = await countLetters();
  const fresh = new Set(known ? letters.map((letter) => letter.id).filter((id) => !known.has(id)) : []);
  known = new Set(letters.map((letter) => letter.id));
  draw(fresh);
}

window.addEventListener("hashchange", open);
$("search").addEventListener("input", () => draw());
$("clear").addEventListener("click", async () => {
  await ask("/sandbox/api/mail", { method: "DELETE" });
  location.hash = "";
  await refresh();
});
refresh();
watch((now, before) => (now.mail !== before.mail ? refresh() : null));
