// @ts-check
/** The frame of all screens: navigation, search, connection, key, language. */
import { useEffect, useRef } from "preact/hooks";
import { whose } from "./api.js";
import { minutesAhead } from "./clock.js";
import { Time } from "./components/figures.js";
import { sentenceOf } from "./components/problem.js";
import { Toasts } from "./components/toast.js";
import { connection } from "./feed.js";
import { html } from "./html.js";
import { address, route } from "./route.js";
import { Accumulator } from "./screens/accumulator.js";
import { Attention } from "./screens/attention.js";
import { Booking } from "./screens/booking.js";
import { Cabinet } from "./screens/cabinet.js";
import { Cabinets } from "./screens/cabinets.js";
import { Command } from "./screens/command.js";
import { Import } from "./screens/import.js";
import { Key } from "./screens/key.js";
import { Overview } from "./screens/overview.js";
import { Scooter } from "./screens/scooter.js";
import { Search, SearchBox } from "./screens/search.js";
import { Technician } from "./screens/technician.js";
import { Technicians } from "./screens/technicians.js";
import { session } from "./session.js";
import { useSignal } from "./signal.js";
import { language, speak, t, word } from "./text.js";

/** @type {Record<string, {list?: any, one?: any}>} */
const SCREENS = {
  overview: { list: Overview },
  cabinets: { list: Cabinets, one: Cabinet },
  accumulators: { one: Accumulator },
  technicians: { list: Technicians, one: Technician },
  scooters: { one: Scooter },
  bookings: { one: Booking },
  commands: { one: Command },
  attention: { list: Attention },
  search: { list: Search },
  import: { list: Import },
};

export function App() {
  const { key, caller, scope } = useSignal(session);
  useSignal(language);
  const current = useSignal(route);
  const isConnecting = useSignal(connection).state === "connecting";
  const main = useRef(/** @type {HTMLElement | null} */ (null));
  const place = `${current.screen}/${current.id}`;

  useEffect(() => {
    if (key && scope === null) {
      session.check(key, whose);
    }
  }, [key, scope]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: runs when another screen is shown
  useEffect(() => {
    main.current?.querySelector("h1")?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [place, key === "", isConnecting]);

  useEffect(() => {
    const heading = main.current?.querySelector("h1");
    document.title = `${heading?.textContent?.trim() ?? ""} · ${t("product")}`;
  });

  return html`
    <a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => {
      event.preventDefault();
      main.current?.focus();
    }}>${t("skip")}</a>
    <${Head} current=${current.screen} isKnown=${key !== ""} />
    <main id="main" ref=${main} tabindex="-1">
      ${key === "" ? html`<${Key} />` : isConnecting ? html`<p class="quiet" role="status">${t("reading")}</p>` : html`<${Notices} /><${Screen} key=${place} route=${current} />`}
    </main>
    ${scope && html`<footer class="quiet">${t("key_in_use", { caller: caller ?? "", scope: word("scope", scope) })}</footer>`}
    <${Toasts} />
  `;
}

/** @param {{route: import("./route.js").Route}} properties */
function Screen({ route: { screen, id, query } }) {
  const found = Object.hasOwn(SCREENS, screen) ? SCREENS[screen] : {};
  const component = id ? found.one : found.list;
  return component
    ? html`<${component} id=${id} query=${query} />`
    : html`<h1 tabindex="-1">${t("no_screen")}</h1><p><a href=${address("overview")}>${t("to_overview")}</a></p>`;
}

/** @param {{current: string, isKnown: boolean}} properties */
function Head({ current, isKnown }) {
  /** @type {import("./text.js").TextName[]} */
  const names = [
    "overview",
    "cabinets",
    "attention",
    "technicians",
    ...(session.may("operator") ? /** @type {const} */ (["import"]) : []),
  ];
  return html`<header>
    <a class="product" href=${address("overview")}>${t("product")}</a>
    ${
      isKnown &&
      html`
      <nav aria-label=${t("screens")}>
        ${names.map((name) => html`<a key=${name} href=${address(name)} aria-current=${current === name ? "page" : undefined}>${t(name)}</a>`)}
      </nav>
      <${SearchBox} />`
    }
    <div class="right">
      ${isKnown && html`<${ConnectionState} /><${Owner} />`}
      <${Languages} />
      <a href="/docs">${t("api_docs")}</a>
    </div>
  </header>`;
}

function ConnectionState() {
  const { state, lostAt } = useSignal(connection);
  return html`<span class=${`connection ${state}`} role="status">
    ${state === "lost" && lostAt !== null ? html`${t("connection.lost_since")} <${Time} at=${lostAt} />` : t(`connection.${state}`)}
  </span>`;
}

function Owner() {
  const { caller, scope } = useSignal(session);
  return html`<span class="owner">
    ${caller && html`<span class="caller" title=${word("scope", scope ?? "")}>${caller}</span>`}
    <button type="button" onClick=${() => session.end()}>${t("sign_out")}</button>
  </span>`;
}

function Languages() {
  const other = language.value === "en" ? "ru" : "en";
  return html`<button type="button" lang=${other} title=${other === "ru" ? "Русский" : "English"} onClick=${() => speak(other)}>${other.toUpperCase()}</button>`;
}

/** What is true of everything on the page. */
function Notices() {
  const { state, problem, lostAt } = useSignal(connection);
  const minutes = minutesAhead();
  return html`
    ${
      state === "lost" &&
      problem &&
      html`<div class="notice bad" role="alert">
      <p>${lostAt !== null && html`${t("not_live")} <${Time} at=${lostAt} />. `}${sentenceOf(problem)}</p>
    </div>`
    }
    ${minutes !== 0 && html`<p class="notice">${t(minutes > 0 ? "clock_ahead" : "clock_behind", { n: Math.abs(minutes) })}</p>`}
  `;
}
