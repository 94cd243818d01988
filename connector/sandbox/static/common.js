// What the board and the mail page share: building nodes, asking the server, dates, money, icons.

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  bell: "M18 8a6 6 0 0 0-12 0c0 7-3 9-3 9h18s-3-2-3-9 M13.7 21a2 2 0 0 1-3.4 0",
  clip: "M21 11.5l-8.6 8.6a5.5 5.5 0 0 1-7.8-7.8l8.6-8.6a3.7 3.7 0 0 1 5.2 5.2l-8.5 8.6a1.8 1.8 0 0 1-2.6-2.6l7.9-7.9",
  close: "M18 6L6 18 M6 6l12 12",
  chat: "M21 12a8 8 0 0 1-8 8H4l2-3.5A8 8 0 1 1 21 12z",
  check: "M20 6L9 17l-5-5",
  dots: "M5 12h.01 M12 12h.01 M19 12h.01",
  down: "M12 4v12 M6 11l6 6 6-6 M5 21h14",
  file: "M14 2H6a2 2 0 0 0-2 2v16a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2V8z M14 2v6h6",
  letter: "M3 6h18v13H3z M3 7l9 7 9-7",
  move: "M5 12h14 M13 6l6 6-6 6",
  note: "M4 4h16v12l-5 5H4z M15 21v-5h5 M8 9h8 M8 13h5",
  phone: "M22 17v3a2 2 0 0 1-2.2 2A19 19 0 0 1 2 4.200A2 2 0 0 1 4 2h3l2 5-2.500 1.600a15 15 0 0 0 7 7L15 13l5 2z",
  ruble: "M9 20V4h5a4.500 4.500 0 0 1 0 9H6 M6 17h8",
};
const KIND_ICONS = {
  move: "move", common: "note", attachment: "clip", mail: "letter", letter: "letter", call_in: "phone",
  call_out: "phone", sms_in: "chat", sms_out: "chat", invoice: "ruble", call: "phone",
};

export const kindIcon = (kind) => KIND_ICONS[kind] ?? "note";

/** A node: h("div", {class: "card", onclick}, child, "text", [more]). Text stays text. */
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

export const $ = (id) => document.getElementById(id);

/** JSON of an answer; an error shows itself as a toast and is thrown. */
export async function ask(path, { method = "GET", body } = {}) {
  const init = { method, headers: {} };
  if (body !== undefined) {
    init.headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  const answer = await fetch(path, init);
  const found = answer.status === 204 ? null : await answer.json().catch(() => ({ error: answer.statusText }));
  if (!answer.ok) {
    toast(found?.error ?? `Ошибка ${answer.status}`, { bad: true });
    throw new Error(`${path}: ${answer.status}`);
  }
  return found;
}

/** Call `changed(revisions, before)` whenever something happened; when it returns false, it is called again. */
export function watch(changed) {
  let before = null;
  const tick = async () => {
    let now = null;
    try {
      now = await (await fetch("/sandbox/api/revision")).json();
    } catch {
      // The sandbox is being restarted.
    }
    $("offline").hidden = now !== null;
    const differs = now && before && JSON.stringify(before) !== JSON.stringify(now);
    const isTaken = differs ? await Promise.resolve(changed(now, before)).catch(() => true) : true;
    if (now && isTaken !== false) before = now;
    setTimeout(tick, document.hidden ? 4000 : 1000);
  };
  tick();
}

export async function countLetters() {
  const letters = await ask("/sandbox/api/mail");
  const badge = $("mail-count");
  badge.hidden = letters.length === 0;
  badge.textContent = letters.length;
  return letters;
}

const zone = document.body.dataset.tz || undefined;
const format = (options) => new Intl.DateTimeFormat("ru-RU", { timeZone: zone, ...options });
const TIME = format({ hour: "2-digit", minute: "2-digit" });
const DAY = format({ day: "numeric", month: "long" });
const DAY_YEAR = format({ day: "numeric", month: "long", year: "numeric" });
const KEY = format({ year: "numeric", month: "2-digit", day: "2-digit" });

export const time = (iso) => TIME.format(new Date(iso));

/** «Сегодня», «Вчера», «Завтра», «12 ноября», with the year when it is another one. */
export function day(iso) {
  const moment = new Date(iso);
  const now = new Date();
  for (const [shift, word] of [[0, "Сегодня"], [-1, "Вчера"], [1, "Завтра"]]) {
    if (KEY.format(moment) === KEY.format(new Date(now.getTime() + shift * 86400000))) return word;
  }
  const text = (moment.getFullYear() === now.getFullYear() ? DAY : DAY_YEAR).format(moment);
  return text.replace(" г.", "");
}

export const when = (iso) => `${day(iso)}, ${time(iso)}`;

const SIGNS = { RUB: "₽", USD: "$", EUR: "€", KZT: "₸", BYN: "Br" };

/** «186 500 ₽»; kopecks only where there are any. */
export function money(amount, currency = "RUB") {
  if (amount === null || amount === undefined || amount === "") return "Без суммы";
  const value = Number(amount);
  const digits = Number.isInteger(value) ? 0 : 2;
  const text = value.toLocaleString("ru-RU", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${text}\u00a0${SIGNS[currency] ?? currency}`;
}

/** «1,2 млн ₽» for the head of a column. */
export function shortMoney(amount) {
  const value = Number(amount);
  if (value < 1e6) return money(Math.round(value / 1000) * 1000).replace(/\s000\s₽$/, "\u00a0тыс.\u00a0₽");
  return `${(value / 1e6).toLocaleString("ru-RU", { maximumFractionDigits: 1 })}\u00a0млн\u00a0₽`;
}

/** plural(3, "файл", "файла", "файлов") */
export function plural(count, one, few, many) {
  const tens = count % 100;
  const ones = count % 10;
  if (tens > 10 && tens < 20) return many;
  if (ones === 1) return one;
  return ones > 1 && ones < 5 ? few : many;
}

export function fileSize(bytes) {
  return bytes < 1048576 ? `${Math.max(1, Math.round(bytes / 1024))} КБ` : `${(bytes / 1048576).toFixed(1).replace(".", ",")} МБ`;
}

/** Text with its addresses as links; line breaks are kept by the style sheet. */
export function linked(text) {
  return text.split(/(https?:\/\/[^\s<>«»"]+)/).map((part, place) =>
    place % 2 ? h("a", { href: part, target: "_blank", rel: "noopener noreferrer" }, part) : part);
}

export function fileChip(file) {
  const extension = (file.name.match(/\.([a-z0-9]{1,5})$/i)?.[1] ?? "файл").toUpperCase();
  return h("span", { class: "file" },
    h("a", { class: "file__open", href: file.url, target: "_blank", rel: "noopener", title: "Открыть" },
      h("span", { class: `file__kind file__kind--${extension.toLowerCase()}` }, extension),
      h("span", { class: "file__name" }, file.name),
      h("span", { class: "file__size" }, fileSize(file.size))),
    h("a", { class: "file__down", href: `${file.url}?download`, title: "Скачать", "aria-label": `Скачать ${file.name}` }, icon("down")));
}

/** Keys that are new for some seconds; a redraw in between goes on with the highlight where it was. */
export class Highlight {
  constructor(span) {
    this.span = span;
    this.since = new Map();
  }

  add(key) {
    this.since.set(key, performance.now());
  }

  clear() {
    this.since.clear();
  }

  /** Attributes for a node that may be new: {class, style}. */
  of(key, usual, more) {
    const elapsed = performance.now() - (this.since.get(key) ?? -Infinity);
    return elapsed < this.span ? { class: `${usual} ${more}`, style: `animation-delay: -${Math.round(elapsed)}ms` } : { class: usual };
  }
}

export function toast(text, { bad = false, onclick = null } = {}) {
  const node = h(onclick ? "button" : "div", { class: bad ? "toast toast--bad" : "toast", type: onclick ? "button" : null }, text);
  const gone = () => node.remove();
  node.addEventListener("click", () => { onclick?.(); gone(); });
  $("toasts").append(node);
  setTimeout(gone, 7000);
}
