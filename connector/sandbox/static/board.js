// The kanban: columns of cards, moves by mouse, menu and keyboard, live refresh.

import { $, Highlight, ask, countLetters, h, icon, money, plural, shortMoney, toast, watch, when } from "./common.js";
import { DealPanel } from "./deal.js";

const UNSORTED = "Неразобранное";
const crm = document.body.dataset.crm;
const api = `/sandbox/api/${crm}`;
const state = { pipelines: [], lossReasons: [], users: [], requisites: {}, pipeline: null, board: null, dragged: null };

const fresh = new Highlight(3500);
const panel = new DealPanel({ crm, api, state, move, onclose: () => history.replaceState(null, "", `/board/${crm}`) });

// ---- the columns

async function refresh() {
  const found = await ask(`${api}/board?pipeline=${state.pipeline}`);
  if (found.pipeline.id !== state.pipeline) return;
  if (state.board) tellNews(state.board, found);
  state.board = found;
  draw();
}

/** Light up the cards that changed and say what came to them. */
function tellNews(before, after) {
  const old = new Map(before.stages.flatMap((stage) => stage.deals.map((deal) => [deal.id, { ...deal, stage: stage.code }])));
  for (const stage of after.stages) {
    for (const deal of stage.deals) {
      const was = old.get(deal.id);
      if (!was || was.stage !== stage.code || was.updated_at !== deal.updated_at) fresh.add(deal.id);
      if (!was) continue;
      const words = [];
      for (const [key, one, few, many] of [["files", "файл", "файла", "файлов"], ["letters", "письмо", "письма", "писем"], ["tasks", "задача", "задачи", "задач"]]) {
        const more = deal[key] - was[key];
        if (more > 0) words.push(`${more}\u00a0${plural(more, one, few, many)}`);
      }
      if (words.length) {
        fresh.add(deal.id);
        if (panel.id !== deal.id) toast(`${client(deal)}: ${words.join(", ")}`, { onclick: () => open(deal.id) });
      }
    }
  }
}

function draw() {
  const scroll = new Map([...document.querySelectorAll(".column__cards")].map((node) => [node.dataset.stage, node.scrollTop]));
  const focused = document.activeElement?.closest(".card")?.dataset.id;
  const wanted = $("search").value.trim().toLowerCase();
  $("board").replaceChildren(...state.board.stages.map((stage) => column(stage, wanted)).filter(Boolean));
  for (const node of document.querySelectorAll(".column__cards")) node.scrollTop = scroll.get(node.dataset.stage) ?? 0;
  if (focused) document.querySelector(`.card[data-id="${focused}"]`)?.focus({ preventScroll: true });
}

function column(stage, wanted) {
  // The incoming stage of amoCRM is worth its place only when something lies there.
  if (stage.count === 0 && stage.name === UNSORTED) return null;
  const deals = wanted ? stage.deals.filter((deal) => matches(deal, wanted)) : stage.deals;
  const node = h("section", { class: `column column--${stage.kind}`, "data-stage": stage.code, "aria-label": stage.name },
    h("header", { class: "column__head", style: `--stage: ${stage.color}` },
      h("h2", { class: "column__name", title: stage.name }, stage.name),
      h("div", { class: "column__sum" },
        h("span", {}, `${stage.count} ${plural(stage.count, "сделка", "сделки", "сделок")}`),
        h("span", {}, shortMoney(stage.amount)))),
    h("div", { class: "column__cards", "data-stage": stage.code },
      deals.map((deal) => card(deal, stage)),
      deals.length < stage.count && !wanted ? h("p", { class: "column__more" }, `Показаны последние ${deals.length}`) : null,
      deals.length === 0 ? h("p", { class: "column__more" }, wanted ? "Ничего не найдено" : "Пока пусто") : null));
  return target(node, stage);
}

const matches = (deal, wanted) => [deal.name, deal.contact, deal.responsible, String(deal.id)].join(" ").toLowerCase().includes(wanted);

function card(deal, stage) {
  const subject = deal.name.split(" — ").slice(1).join(" — ");
  return h("article", {
    ...fresh.of(deal.id, "card", "card--fresh"), draggable: "true", tabindex: "0", "data-id": deal.id,
    "aria-label": `${deal.name}. Enter — открыть, M — переместить`,
    onclick: (event) => event.target.closest(".card__menu") || open(deal.id),
    onkeydown: (event) => {
      if (event.target !== event.currentTarget) return;
      if (event.key === "Enter") open(deal.id);
      if (["m", "M", "ь", "Ь"].includes(event.key)) menu(deal, stage);
    },
    ondragstart: (event) => startDrag(event, deal, stage),
    ondragend: endDrag,
  },
    h("div", { class: "card__top" },
      h("h3", { class: "card__name" }, client(deal)),
      h("button", { class: "card__menu", type: "button", "aria-label": "Переместить в…", title: "Переместить в…", onclick: () => menu(deal, stage) }, icon("dots"))),
    subject ? h("p", { class: "card__subject" }, subject) : null,
    h("div", { class: "card__line" },
      h("p", { class: Number(deal.amount) ? "card__amount" : "card__amount card__amount--none" }, money(deal.amount, deal.currency)),
      marks(deal)),
    stage.kind === "lost" ? h("p", { class: deal.loss_reason ? "card__reason" : "card__reason card__reason--none" }, deal.loss_reason ?? "Причина не указана") : null,
    h("footer", { class: "card__foot" },
      h("span", { class: "avatar", title: deal.responsible, style: `--hue: ${hue(deal.responsible)}` }, initials(deal.responsible)),
      h("span", { class: "card__contact" }, deal.contact || "Без контакта")));
}

function marks(deal) {
  const mark = (count, name, title, more = "") =>
    count ? h("span", { class: `mark ${more}`, title }, icon(name), String(count)) : null;
  return h("span", { class: "marks" },
    mark(deal.tasks, "check", `Открытых задач: ${deal.tasks}`, deal.is_overdue ? "mark--late" : ""),
    deal.has_email ? null : h("span", { class: "mark mark--none", title: "У контакта нет почты" }, icon("letter"), "нет"),
    mark(deal.letters, "letter", `Писем: ${deal.letters}`),
    mark(deal.files, "clip", `Файлов: ${deal.files}`, "mark--file"));
}

const client = (deal) => deal.name.split(" — ")[0];
const initials = (name) => name.split(" ").map((word) => word[0]).slice(0, 2).join("");
const hue = (name) => [...name].reduce((sum, sign) => (sum * 31 + sign.codePointAt(0)) % 360, 7);

// ---- moving

function startDrag(event, deal, stage) {
  state.dragged = { deal, stage };
  event.dataTransfer.effectAllowed = "move";
  event.dataTransfer.setData("text/plain", String(deal.id));
  // Changing the page inside dragstart would end the drag in Chromium.
  setTimeout(() => document.body.classList.add("is-dragging"));
}

function endDrag() {
  state.dragged = null;
  document.body.classList.remove("is-dragging");
  for (const node of document.querySelectorAll(".is-over")) node.classList.remove("is-over");
}

/** Let `node` take a dragged card. */
function target(node, stage) {
  const over = (event) => {
    if (!state.dragged || state.dragged.stage.code === stage.code) return;
    event.preventDefault();
    node.classList.add("is-over");
  };
  node.addEventListener("dragenter", over);
  node.addEventListener("dragover", over);
  node.addEventListener("dragleave", (event) => {
    if (!node.contains(event.relatedTarget)) node.classList.remove("is-over");
  });
  node.addEventListener("drop", (event) => {
    event.preventDefault();
    const dragged = state.dragged;
    endDrag();
    if (dragged) move(dragged.deal, state.pipeline, stage);
  });
  return node;
}

/** Put a deal into a stage; a lost one asks for the reason first. */
async function move(deal, pipelineId, stage) {
  const body = { pipeline_id: pipelineId, stage: stage.code };
  if (stage.kind === "lost") {
    const reason = await askReason(deal);
    if (reason === undefined) return false;
    body.loss_reason_id = reason;
  }
  await ask(`${api}/deals/${deal.id}/move`, { method: "POST", body });
  toast(`${client(deal)}: перенесена в «${stage.name}»`, { onclick: panel.id === deal.id ? null : () => open(deal.id) });
  await refresh();
  document.querySelector(`.card[data-id="${deal.id}"]`)?.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "smooth" });
  return true;
}

function menu(deal, stage) {
  const choices = (pipeline) => h("div", { class: "menu" }, pipeline.stages.filter((to) => to.name !== UNSORTED).map((to) => {
    const here = pipeline.id === state.pipeline && to.code === stage.code;
    return h("button", {
      type: "button", class: "menu__item", disabled: here, style: `--stage: ${to.color}`,
      onclick: () => { $("dialog").close(); move(deal, pipeline.id, to); },
    }, to.name, here ? h("small", {}, " — сейчас здесь") : null);
  }));
  dialog("Переместить в…",
    ...state.pipelines.filter((one) => one.id === state.pipeline).map(choices),
    ...state.pipelines.filter((one) => one.id !== state.pipeline).map((one) =>
      h("details", { class: "menu__group" }, h("summary", {}, `Воронка «${one.name}»`), choices(one))));
}

/** The chosen reason's id, null for «не указывать», undefined when the person changed his mind. */
function askReason(deal) {
  return new Promise((resolve) => {
    const choose = (value) => { resolve(value); $("dialog").close(); };
    dialog("Почему сделка не состоялась?",
      h("p", { class: "dialog__text" }, deal.name),
      h("div", { class: "menu" },
        state.lossReasons.map((reason) => h("button", { type: "button", class: "menu__item", onclick: () => choose(reason.id) }, reason.name)),
        h("button", { type: "button", class: "menu__item menu__item--quiet", onclick: () => choose(null) }, "Не указывать")),
      () => resolve(undefined));
  });
}

function dialog(title, ...content) {
  const closed = typeof content.at(-1) === "function" ? content.pop() : null;
  const node = $("dialog");
  node.replaceChildren(
    h("div", { class: "dialog__head" }, h("h2", {}, title),
      h("button", { type: "button", class: "button button--icon", "aria-label": "Закрыть", onclick: () => node.close() }, icon("close"))),
    ...content);
  // The event of an earlier closing may come when the dialog is open again with another question.
  node.onclose = () => { if (!node.open) closed?.(); };
  node.onclick = (event) => { if (event.target === node) node.close(); };
  node.showModal();
}

// ---- a new deal

function askDeal() {
  const field = (name, label, value, type = "text") =>
    h("label", { class: "row" }, h("span", { class: "row__name" }, label), h("input", { class: "field", name, value, type, autocomplete: "off" }));
  const form = h("form", {
    class: "form",
    onsubmit: async (event) => {
      event.preventDefault();
      const values = Object.fromEntries(new FormData(form));
      const name = values.subject ? `${values.company} — ${values.subject}` : "";
      const body = { company: values.company, name, amount: values.amount, contact_email: values.email, pipeline_id: state.pipeline };
      const deal = await ask(`${api}/deals`, { method: "POST", body });
      $("dialog").close();
      await refresh();
      open(deal.id);
    },
  },
    field("company", "Компания", "ООО «Новый клиент»"),
    field("subject", "Что покупает", "кофемашины для офиса"),
    field("email", "Почта клиента", "client@example.test", "email"),
    field("amount", "Сумма, ₽", "250000"),
    h("p", { class: "form__note" }, "Реквизиты компании песочница придумает сама, их можно исправить в сделке."),
    h("button", { class: "button button--main", type: "submit" }, "Создать"));
  dialog("Новая сделка", form);
}

// ---- notifications of Bitrix24

async function drawNotices() {
  if (crm !== "bitrix24") return;
  const notices = await ask(`${api}/notices`);
  const button = $("notices");
  button.replaceChildren(icon("bell"), notices.length ? h("span", { class: "badge" }, String(notices.length)) : "");
  if ($("drawer").hidden) return;
  $("drawer").replaceChildren(
    h("div", { class: "dialog__head" }, h("h2", {}, "Уведомления"),
      h("button", { type: "button", class: "button button--icon", "aria-label": "Закрыть", onclick: () => { $("drawer").hidden = true; } }, icon("close"))),
    notices.length ? "" : h("p", { class: "column__more" }, "Сотрудникам пока никто не писал."),
    ...notices.map((notice) => h("article", { class: "notice" },
      h("header", {}, h("b", {}, notice.user), h("time", {}, when(notice.at))),
      h("p", { class: "entry__text" }, notice.text))));
}

// ---- the page

function open(id) {
  history.replaceState(null, "", `/board/${crm}/deals/${id}`);
  return panel.open(id);
}

function choosePipeline(id) {
  state.pipeline = id;
  state.board = null;
  localStorage.setItem(`pipeline-${crm}`, id);
  $("tray").replaceChildren(...state.pipelines.find((one) => one.id === id).stages
    .filter((stage) => stage.kind !== "open")
    .map((stage) => target(h("div", { class: `tray__target tray__target--${stage.kind}` }, stage.name), stage)));
  return refresh();
}

async function start() {
  Object.assign(state, rename(await ask(`${api}/pipelines`)));
  const stored = Number(localStorage.getItem(`pipeline-${crm}`) ?? NaN);
  const first = state.pipelines.find((pipeline) => pipeline.id === stored) ?? state.pipelines[0];
  $("pipeline").replaceChildren(...state.pipelines.map((one) => h("option", { value: one.id, selected: one.id === first.id }, one.name)));
  $("pipeline").addEventListener("change", (event) => choosePipeline(Number(event.target.value)));
  $("search").addEventListener("input", draw);
  $("add").addEventListener("click", askDeal);
  $("notices").addEventListener("click", () => { $("drawer").hidden = !$("drawer").hidden; drawNotices(); });
  $("hint").hidden = localStorage.getItem("hint") === "off";
  $("hint-close").addEventListener("click", () => { $("hint").hidden = true; localStorage.setItem("hint", "off"); });
  await choosePipeline(first.id);
  await Promise.all([drawNotices(), countLetters()]);
  if (document.body.dataset.deal) await panel.open(Number(document.body.dataset.deal));
  watch(async (now, before) => {
    // A card in the air would lose its place.
    if (state.dragged) return false;
    if (now.mail !== before.mail) await countLetters();
    if (now[crm] !== before[crm]) await drawNotices();
    if (now[crm] !== before[crm] || now.mail !== before.mail) await Promise.all([refresh(), panel.refresh()]);
    return true;
  });
}

const rename = (found) => ({ pipelines: found.pipelines, lossReasons: found.loss_reasons, users: found.users, requisites: found.requisites });

start();
