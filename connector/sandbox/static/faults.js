// Faults and the clock: what a tester orders, what is in force, what has left.

import { $, ask, countLetters, h, plural, time, toast, watch } from "./common.js";

const FAULTS = "/sandbox/api/faults";
const CRMS = { amocrm: "amoCRM", bitrix24: "Битрикс24", yookassa: "ЮKassa" };
const KNOBS = {
  latency_s: (value) => `каждый ответ через ${number(value)} с`,
  limits_on: (value) => (value ? "ограничения частоты включены" : "ограничения частоты выключены"),
  drop_share: (value) => `теряется ${number(value * 100)} % хуков`,
  duplicate: () => "хуки приходят дважды",
  reorder: () => "хуки приходят вперемешку",
  delay_s: (value) => `хуки опаздывают на ${number(value)} с`,
};
const DELAYED = ["slow", "timeout", "delay", "reorder"];
const number = (value) => Number(value).toLocaleString("ru-RU", { maximumFractionDigits: 2 });
const LONG = new Intl.DateTimeFormat("ru-RU", {
  timeZone: document.body.dataset.tz || undefined, weekday: "short", day: "numeric", month: "long", year: "numeric",
  hour: "2-digit", minute: "2-digit", second: "2-digit",
});

let kinds = { requests: [], hooks: [] };
let ahead = 0;

/** «1 день 2 часа 5 минут», to the minute. */
function span(seconds) {
  const whole = Math.round(seconds / 60);
  const days = Math.floor(whole / 1440);
  const hours = Math.floor((whole % 1440) / 60);
  const minutes = whole % 60;
  return [
    days ? `${days} ${plural(days, "день", "дня", "дней")}` : "",
    hours ? `${hours} ${plural(hours, "час", "часа", "часов")}` : "",
    minutes ? `${minutes} ${plural(minutes, "минуту", "минуты", "минут")}` : "",
  ].filter(Boolean).join(" ");
}

function showClock() {
  $("now").textContent = LONG.format(new Date(Date.now() + ahead * 1000));
  $("shift").textContent = Math.abs(ahead) < 60 ? "как на этой машине" : `${ahead > 0 ? "впереди" : "позади"} машины на ${span(Math.abs(ahead))}`;
}

async function readClock() {
  ahead = (new Date((await ask("/sandbox/api/time")).now) - Date.now()) / 1000;
  showClock();
}

const about = (rule) => [
  rule.status ? `код ${rule.status}` : "",
  rule.delay_s ? `${number(rule.delay_s)} с` : "",
  CRMS[rule.crm] ?? "везде",
  [rule.method, rule.path].filter(Boolean).join(" "),
  rule.share < 1 ? `${number(rule.share * 100)} % вызовов` : "",
  rule.left === null ? "" : `осталось ${rule.left}`,
  rule.until ? `до ${time(rule.until)}` : "",
  rule.after_commit ? "потерян только ответ" : "",
].filter(Boolean).join(" · ");

function ruleLine(rule, isActive) {
  return h("div", { class: "fault" },
    h("b", {}, rule.title),
    h("span", { class: "fault__about" }, about(rule)),
    h("span", { class: "fault__count", title: "испорчено из подходящих" }, `${rule.struck} из ${rule.seen}`),
    isActive ? h("button", { class: "button", type: "button", onclick: () => change(`${FAULTS}/${rule.id}`, "DELETE") }, "Снять") : null);
}

function drawFaults(found) {
  const turned = Object.entries(KNOBS).filter(([name]) => (name === "limits_on" ? !found[name] : found[name]));
  $("knobs").replaceChildren(...turned.map(([name, say]) => h("span", { class: "knob" }, say(found[name]))));
  $("active").replaceChildren(...(found.active.length
    ? found.active.map((rule) => ruleLine(rule, true))
    : [h("p", { class: "muted" }, "Ни одного заказанного сбоя: все отвечают как обычно.")]));
  $("over-box").hidden = found.over.length === 0;
  $("over").replaceChildren(...found.over.map((rule) => ruleLine(rule, false)));
}

function drawHooks(hooks) {
  $("hooks").replaceChildren(...(hooks.length ? hooks.slice(0, 20).map((hook) => h("div", { class: "fault" },
    h("b", {}, hook.event),
    h("span", { class: "fault__about" }, `${CRMS[hook.crm]} · ${time(hook.at)} · ${hook.url}`),
    h("span", { class: "fault__count" }, hook.status ? `ответ ${hook.status}` : "нет ответа"),
    h("button", { class: "button", type: "button", onclick: () => replay(hook) }, "Повторить")))
    : [h("p", { class: "muted" }, "Пока ни одного: подпишитесь на хуки и передвиньте сделку на доске.")]));
}

async function refresh() {
  const [found, hooks] = await Promise.all([ask(FAULTS), ask("/sandbox/api/hooks"), readClock()]);
  drawFaults(found);
  drawHooks(hooks.hooks);
}

async function change(path, method, body) {
  await ask(path, { method, body });
  await refresh();
}

async function replay(hook) {
  const { hooks: [sent] } = await ask("/sandbox/api/hooks/replay", { method: "POST", body: { id: hook.id } });
  toast(sent.status ? `Хук отправлен ещё раз, ответ ${sent.status}` : "Хук отправлен ещё раз, ответа нет", { bad: !sent.status });
  await refresh();
}

const isRequest = (what) => kinds.requests.some((kind) => kind.what === what);

function fit() {
  const what = $("order").elements.what.value;
  const shows = { status: what === "status", delay: DELAYED.includes(what), request: isRequest(what) };
  for (const node of document.querySelectorAll("[data-for]")) node.hidden = !shows[node.dataset.for];
  $("path-name").textContent = shows.request ? "Адрес" : "Событие";
}

function order(event) {
  event.preventDefault();
  const fields = Object.fromEntries(new FormData($("order")));
  const body = { what: fields.what, crm: fields.crm, path: fields.path.trim() };
  for (const name of ["times", "for_s"]) if (fields[name]) body[name] = Number(fields[name]);
  if (fields.share) body.share = Number(fields.share) / 100;
  if (DELAYED.includes(body.what) && fields.delay_s) body.delay_s = Number(fields.delay_s);
  if (body.what === "status") body.status = Number(fields.status);
  if (isRequest(body.what)) {
    body.method = fields.method;
    body.after_commit = Boolean(fields.after_commit);
  }
  change(FAULTS, "POST", body).then(() => toast("Сбой заказан"), () => {});
}

kinds = await ask(`${FAULTS}/kinds`);
for (const [title, names] of [["Ответы на запросы", kinds.requests], ["Хуки", kinds.hooks]]) {
  $("order").elements.what.append(h("optgroup", { label: title },
    names.map(({ what, title: text }) => h("option", { value: what }, text))));
}
$("order").addEventListener("change", fit);
$("order").addEventListener("submit", order);
$("clear").addEventListener("click", () => change(FAULTS, "DELETE"));
$("steps").addEventListener("click", (event) => {
  const by = Number(event.target.dataset.forward);
  if (by) change("/sandbox/api/time", "POST", { forward_s: by }).then(() => toast(`Прошло: ${span(by)}`), () => {});
});
fit();
refresh();
countLetters();
watch((now, before) => (now.mail !== before.mail ? countLetters() : null));
setInterval(showClock, 1000);
setInterval(() => (document.hidden ? null : refresh().catch(() => {})), 3000);
