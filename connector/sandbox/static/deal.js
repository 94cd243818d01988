// One deal in the side panel: fields that can be edited, tasks, the timeline.

import { $, Highlight, ask, day, fileChip, h, icon, kindIcon, linked, money, plural, time, when } from "./common.js";

export class DealPanel {
  constructor({ crm, api, state, move, onclose }) {
    Object.assign(this, { crm, api, state, move, onclose });
    this.id = null;
    this.deal = null;
    this.seen = null;
    this.fresh = new Highlight(6000);
    this.saved = new Highlight(1600);
    this.unfolded = false;
    $("shade").addEventListener("click", () => this.close());
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.id !== null && !$("dialog").open) this.close();
    });
  }

  async open(id) {
    this.returnTo = document.activeElement;
    this.id = id;
    $("toasts").replaceChildren();
    this.seen = null;
    this.fresh.clear();
    this.saved.clear();
    this.unfolded = false;
    $("panel").hidden = false;
    $("shade").hidden = false;
    document.body.classList.add("has-panel");
    $("panel").replaceChildren();
    await this.refresh();
    $("panel").scrollTop = 0;
    $("panel").querySelector(".panel__close")?.focus();
  }

  close() {
    this.id = null;
    $("panel").hidden = true;
    $("shade").hidden = true;
    document.body.classList.remove("has-panel");
    if (this.returnTo?.isConnected) this.returnTo.focus({ preventScroll: true });
    this.onclose();
  }

  /** Read the deal again; what was not there before is marked as new. */
  async refresh() {
    if (this.id === null) return;
    const id = this.id;
    const deal = await ask(`${this.api}/deals/${id}`);
    if (this.id !== id) return;
    this.deal = deal;
    const keys = [...deal.timeline.map((entry) => entry.key), ...deal.tasks.map((task) => `task-${task.id}`)];
    for (const key of keys) if (this.seen && !this.seen.has(key)) this.fresh.add(key);
    this.seen = new Set(keys);
    this.draw();
  }

  draw() {
    const deal = this.deal;
    const panel = $("panel");
    // A field in which somebody types keeps what is typed.
    const active = document.activeElement;
    const typing = panel.contains(active) && active.dataset.key ? { key: active.dataset.key, value: active.value, at: active.selectionStart } : null;
    const scroll = panel.scrollTop;
    panel.replaceChildren(this.head(deal), h("div", { class: "panel__body" },
      h("div", { class: "panel__fields" }, this.dealFields(deal), this.contactFields(deal), this.companyFields(deal), this.rows(deal)),
      h("div", { class: "panel__feed" }, this.tasks(deal), this.timeline(deal))));
    panel.scrollTop = scroll;
    if (typing) {
      const field = panel.querySelector(`[data-key="${typing.key}"]`);
      if (field) {
        field.value = typing.value;
        field.focus({ preventScroll: true });
        if (field.setSelectionRange && typing.at !== null && field.type === "text") field.setSelectionRange(typing.at, typing.at);
      }
    }
  }

  head(deal) {
    const choice = h("select", {
      class: `field stage stage--${deal.kind}`, "aria-label": "Этап", "data-key": "stage",
      onchange: async (event) => {
        const [pipelineId, code] = JSON.parse(event.target.value);
        const stage = this.state.pipelines.find((one) => one.id === pipelineId).stages.find((one) => one.code === code);
        event.target.blur();
        await this.move(deal, pipelineId, stage);
        await this.refresh();
      },
    }, this.state.pipelines.map((pipeline) => h("optgroup", { label: pipeline.name },
      pipeline.stages.map((stage) => h("option", {
        value: JSON.stringify([pipeline.id, stage.code]),
        selected: pipeline.id === deal.pipeline_id && stage.code === deal.stage,
      }, stage.name)))));
    return h("header", { class: "panel__head" },
      h("div", { class: "panel__title" },
        h("p", { class: "panel__id" }, `Сделка № ${deal.id} · создана ${when(deal.created_at).toLowerCase()}`),
        h("h2", {}, deal.name)),
      h("p", { class: "panel__amount" }, money(deal.amount, deal.currency)),
      choice,
      h("button", { type: "button", class: "button button--icon panel__close", "aria-label": "Закрыть", onclick: () => this.close() }, icon("close")));
  }

  dealFields(deal) {
    const path = `deals/${deal.id}`;
    const users = this.state.users.some((user) => user.id === deal.responsible_id)
      ? this.state.users : [{ id: deal.responsible_id, name: deal.responsible }, ...this.state.users];
    return section("Сделка", [
      this.input("Сумма, ₽", path, "amount", deal.amount === null ? "" : money(deal.amount, "").trim(), { inputmode: "decimal", placeholder: "Не указана" }),
      this.choice("Ответственный", path, "responsible_id", deal.responsible_id, users),
      deal.kind === "lost" || deal.loss_reason_id
        ? this.choice("Причина отказа", path, "loss_reason_id", deal.loss_reason_id ?? "", [{ id: "", name: "Не указана" }, ...this.state.lossReasons]) : null,
      deal.channel ? shown("Источник", deal.channel) : null,
      deal.utm ? shown("UTM", deal.utm) : null,
      ...Object.entries(deal.fields).map(([name, value]) => shown(name, value)),
    ]);
  }

  contactFields(deal) {
    if (!deal.contacts.length) return section("Контакт", [h("p", { class: "muted" }, "К сделке не привязан контакт.")]);
    return deal.contacts.map((contact, place) => {
      const path = `contacts/${contact.id}`;
      return section(place ? "Ещё контакт" : "Контакт", [
        this.input("Фамилия", path, "last_name", contact.last_name),
        this.input("Имя", path, "name", contact.name),
        this.input("Отчество", path, "second_name", contact.second_name),
        this.input("Должность", path, "post", contact.post),
        this.input("Почта", path, "email", contact.emails[0] ?? "", { type: "email", placeholder: "Не указана", warn: !contact.emails.length }),
        this.input("Телефон", path, "phone", contact.phones[0] ?? "", { type: "tel" }),
      ], place > 0);
    });
  }

  companyFields(deal) {
    const company = deal.company;
    if (!company) return section("Компания", [h("p", { class: "muted" }, "К сделке не привязана компания.")]);
    const path = `companies/${company.id}`;
    const needed = ["full_name", "inn", "address", "account", "bik", "director_name"];
    return section("Компания", [
      this.input("Название", path, "name", company.name),
      ...this.state.requisites.map(({ key, name }) =>
        this.input(name, path, key, company.requisites[key], { placeholder: "Не указано", long: ["full_name", "address"].includes(key), warn: needed.includes(key) && !company.requisites[key] })),
    ]);
  }

  rows(deal) {
    if (!deal.rows.length) return null;
    return section("Товары", [h("table", { class: "rows" }, h("tbody", {}, deal.rows.map((row) => h("tr", {},
      h("td", {}, row.name, h("small", {}, ` ${Number(row.quantity)} ${row.unit} × ${money(row.price, deal.currency)}`)),
      h("td", {}, money(row.sum, deal.currency))))))]);
  }

  tasks(deal) {
    const open = deal.tasks.filter((task) => !task.is_done);
    const done = deal.tasks.filter((task) => task.is_done);
    const one = (task) => h("article", this.fresh.of(`task-${task.id}`, `task${task.is_done ? " task--done" : ""}${task.is_overdue ? " task--late" : ""}`, "is-fresh"),
      h("button", {
        type: "button", class: "task__check", "aria-label": task.is_done ? "Вернуть в работу" : "Выполнено", title: task.is_done ? "Вернуть в работу" : "Выполнено",
        onclick: async () => { await ask(`${this.api}/tasks/${task.id}/done`, { method: "POST", body: { is_done: !task.is_done } }); await this.refresh(); },
      }, icon("check")),
      h("div", {},
        h("p", { class: "task__text" }, linked(task.text)),
        task.description ? h("p", { class: "entry__text" }, linked(task.description)) : null,
        task.result ? h("p", { class: "entry__text" }, task.result) : null,
        h("p", { class: "entry__meta" }, `${task.due_at ? `${task.is_done ? "Срок был" : "Срок"}: ${when(task.due_at)}` : "Без срока"} · ${task.responsible}${task.author && task.author !== task.responsible ? `, от: ${task.author}` : ""}`)));
    return h("section", { class: "block" },
      h("h3", {}, "Задачи", h("span", { class: "count" }, String(open.length))),
      open.length ? open.map(one) : h("p", { class: "muted" }, "Открытых задач нет."),
      done.length ? h("details", { class: "done", open: this.unfolded, ontoggle: (event) => { this.unfolded = event.target.open; } },
        h("summary", {}, `${done.length} ${plural(done.length, "выполненная", "выполненные", "выполненных")}`), done.map(one)) : null);
  }

  timeline(deal) {
    const nodes = [];
    let last = "";
    for (const entry of deal.timeline) {
      const today = day(entry.at);
      if (today !== last) nodes.push(h("h4", { class: "feed__day" }, today));
      last = today;
      nodes.push(h("article", { ...this.fresh.of(entry.key, `entry entry--${entry.kind}`, "is-fresh"), "data-kind": entry.kind },
        h("span", { class: "entry__icon" }, icon(kindIcon(entry.kind))),
        h("div", { class: "entry__body" },
          h("p", { class: "entry__meta" }, h("b", {}, entry.title), ` · ${time(entry.at)} · ${entry.author}`),
          entry.text ? h("p", { class: "entry__text" }, entry.url ? h("a", { href: entry.url }, entry.text) : linked(entry.text)) : null,
          entry.files.length ? h("div", { class: "files" }, entry.files.map(fileChip)) : null)));
    }
    return h("section", { class: "block" }, h("h3", {}, "Лента"), this.noteForm(deal), nodes);
  }

  noteForm(deal) {
    const text = h("input", { class: "field", type: "text", placeholder: "Написать примечание…", "aria-label": "Примечание", "data-key": "note" });
    return h("form", {
      class: "noteform",
      onsubmit: async (event) => {
        event.preventDefault();
        if (!text.value.trim()) return;
        const value = text.value;
        text.value = "";
        text.blur();
        await ask(`${this.api}/deals/${deal.id}/notes`, { method: "POST", body: { text: value } });
        await this.refresh();
      },
    }, text, h("button", { class: "button", type: "submit" }, "Добавить"));
  }

  input(label, path, name, value, { type = "text", placeholder = "", inputmode = null, warn = false, long = false } = {}) {
    return row(label, h(long ? "textarea" : "input", {
      ...this.saved.of(`${path}/${name}`, warn ? "field field--flat field--warn" : "field field--flat", "is-saved"), type: long ? null : type, rows: long ? 2 : null, title: value, value, placeholder, inputmode, "data-key": `${path}/${name}`, autocomplete: "off",
      onchange: (event) => this.save(path, name, event.target.value),
      onkeydown: (event) => { if (event.key === "Enter") event.target.blur(); },
    }));
  }

  choice(label, path, name, value, options) {
    return row(label, h("select", {
      ...this.saved.of(`${path}/${name}`, "field field--flat", "is-saved"), "data-key": `${path}/${name}`,
      onchange: (event) => { event.target.blur(); this.save(path, name, event.target.value === "" ? null : Number(event.target.value)); },
    }, options.map((option) => h("option", { value: option.id, selected: option.id === value }, option.name))));
  }

  async save(path, name, value) {
    try {
      await ask(`${this.api}/${path}`, { method: "PATCH", body: { [name]: value } });
      this.saved.add(`${path}/${name}`);
    } finally {
      await this.refresh();
    }
  }
}

const row = (label, field) => h("label", { class: "row" }, h("span", { class: "row__name" }, label), field);
const shown = (label, text) => h("div", { class: "row" }, h("span", { class: "row__name" }, label), h("span", { class: "row__text" }, text));

function section(title, content, folded = false) {
  return folded
    ? h("details", { class: "block" }, h("summary", {}, h("h3", {}, title)), content)
    : h("section", { class: "block" }, h("h3", {}, title), content);
}
