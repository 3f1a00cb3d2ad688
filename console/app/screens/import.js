// @ts-check
/** Takes a CSV of cabinets and accumulators into service: a dry run first, then for good. */
import { useState } from "preact/hooks";
import { change, Problem } from "../api.js";
import { Figure } from "../components/figures.js";
import { ProblemNotice } from "../components/problem.js";
import { csvOf, download } from "../csv.js";
import { NotReadable, read } from "../fleet_file.js";
import { numberOf } from "../format.js";
import { html } from "../html.js";
import { session } from "../session.js";
import { useSignal } from "../signal.js";
import { t, word } from "../text.js";

const BATCH = 1_000;
const MOST_BYTES = 20 * 2 ** 20;
const SHOWN_FAILURES = 100;

/** @typedef {import("../fleet_file.js").Row} Row */
/** @typedef {{row: Row, message: string}} Failure */
/** @typedef {{isDryRun: boolean, counts: Record<string, number>, failures: Failure[], done: number, problem: Problem | null}} Outcome */

export function Import() {
  useSignal(session);
  const [file, setFile] = useState(
    /** @type {{name: string, header: string[], rows: Row[]} | null} */ (null),
  );
  const [wrong, setWrong] = useState(/** @type {string | null} */ (null));
  const [outcome, setOutcome] = useState(/** @type {Outcome | null} */ (null));
  const [isSending, setSending] = useState(false);

  if (!session.may("operator")) {
    return html`<h1 tabindex="-1">${t("import")}</h1><p class="notice">${t("import_needs_operator")}</p>`;
  }

  /** @param {File | undefined} chosen */
  async function choose(chosen) {
    if (!chosen || isSending) {
      return;
    }
    setWrong(null);
    setFile(null);
    setOutcome(null);
    try {
      if (chosen.size > MOST_BYTES) {
        throw new NotReadable("file_is_too_large");
      }
      const found = { name: chosen.name, ...read(await chosen.arrayBuffer()) };
      setFile(found);
      await send(found.rows, true);
    } catch (error) {
      setWrong(
        error instanceof NotReadable ? t(error.text, error.values) : t("file_cannot_be_read"),
      );
    }
  }

  /**
   * @param {Row[]} rows
   * @param {boolean} isDryRun
   */
  async function send(rows, isDryRun) {
    setSending(true);
    try {
      await importRows(rows, isDryRun, setOutcome);
    } finally {
      setSending(false);
    }
  }

  /** @param {DragEvent} event */
  function drop(event) {
    event.preventDefault();
    choose(event.dataTransfer?.files[0]);
  }

  return html`
    <h1 tabindex="-1">${t("import")}</h1>
    <p>${t("import_explanation")}</p>
    <label class="drop" onDrop=${drop} onDragOver=${(/** @type {Event} */ event) => event.preventDefault()}>
      <span>${t("choose_file")}</span>
      <input type="file" accept=".csv,text/csv" disabled=${isSending} onChange=${(event) => {
        choose(event.target.files[0]);
        event.target.value = "";
      }} />
    </label>
    ${wrong && html`<p class="notice bad" role="alert">${wrong}</p>`}
    ${file && html`<h2>${file.name}</h2>`}
    ${file && outcome && html`<${Result} file=${file} outcome=${outcome} isSending=${isSending} apply=${() => send(file.rows, false)} repeat=${() => send(file.rows, outcome.isDryRun)} />`}
  `;
}

/**
 * Send all rows in batches: cabinets first, so that accumulators find them.
 * @param {Row[]} rows
 * @param {boolean} isDryRun
 * @param {(outcome: Outcome) => void} show
 */
async function importRows(rows, isDryRun, show) {
  const ordered = [
    ...rows.filter((row) => row.kind === "cabinet"),
    ...rows.filter((row) => row.kind === "accumulator"),
  ];
  /** @type {Outcome} */
  const outcome = {
    isDryRun,
    counts: { created: 0, updated: 0, unchanged: 0, failed: 0 },
    failures: [],
    done: 0,
    problem: null,
  };
  show({ ...outcome });
  for (let from = 0; from < ordered.length; from += BATCH) {
    const batch = ordered.slice(from, from + BATCH);
    const of = (/** @type {string} */ kind) =>
      batch.filter((row) => row.kind === kind).map((row) => row.body);
    try {
      const answer = await change("POST", "/v1/imports", {
        cabinets: of("cabinet"),
        accumulators: of("accumulator"),
        dry_run: isDryRun,
      });
      answer.results.forEach((result, /** @type {number} */ index) => {
        outcome.counts[result.result] += 1;
        if (result.result === "failed") {
          const fields = result.errors.map((one) => `${one.field}: ${one.message}`);
          outcome.failures.push({
            row: batch[index],
            message: fields.join("; ") || result.detail || result.code,
          });
        }
      });
    } catch (error) {
      if (!(error instanceof Problem)) {
        throw error;
      }
      show({ ...outcome, problem: error });
      return;
    }
    outcome.done += batch.length;
    show({ ...outcome, failures: [...outcome.failures] });
  }
}

/** @param {{file: {name: string, header: string[], rows: Row[]}, outcome: Outcome, isSending: boolean, apply: () => void, repeat: () => void}} properties */
function Result({ file, outcome, isSending, apply, repeat }) {
  const { counts, failures, isDryRun, done, problem } = outcome;
  const total = file.rows.length;
  const isComplete = done === total;
  const willChange = counts.created + counts.updated;
  return html`
    <p role="status">${isDryRun ? t("import_dry_run", { done: numberOf(done), total: numberOf(total) }) : t("import_applied", { done: numberOf(done), total: numberOf(total) })}</p>
    <progress max=${total} value=${done} aria-label=${t("import")}></progress>
    <div class="figures">
      ${Object.entries(counts).map(([result, count]) => html`<${Figure} key=${result} name=${word(isDryRun ? "import_would" : "import_result", result)} value=${numberOf(count)} tone=${result === "failed" && count > 0 ? "bad" : ""} />`)}
    </div>
    ${problem && html`<${ProblemNotice} problem=${problem} retry=${repeat} /><p>${t("import_again_is_safe")}</p>`}
    ${isComplete && isDryRun && willChange > 0 && html`<button type="button" class="primary" disabled=${isSending} onClick=${apply}>${t("apply", { n: numberOf(willChange) })}</button>`}
    ${isComplete && isDryRun && willChange === 0 && failures.length === 0 && html`<p class="notice">${t("nothing_to_import")}</p>`}
    ${isComplete && !isDryRun && html`<p class="notice good">${t("import_is_done")}</p>`}
    ${
      failures.length > 0 &&
      html`
      <h3>${t("failures")}</h3>
      <button type="button" onClick=${() => downloadFailures(file, failures)}>${t("download_failures")}</button>
      <ul class="rows">
        ${failures.slice(0, SHOWN_FAILURES).map(({ row, message }) => html`<li key=${row.line}><span>${t("line_n", { n: row.line })}</span> <strong>${row.id}</strong> <span>${message}</span></li>`)}
      </ul>
      ${failures.length > SHOWN_FAILURES && html`<p class="quiet">${t("first_n", { n: SHOWN_FAILURES })}</p>`}`
    }
  `;
}

/**
 * A file of the same form with what failed, to be mended and imported.
 * @param {{name: string, header: string[]}} file
 * @param {Failure[]} failures
 */
function downloadFailures({ name, header }, failures) {
  const columns = [...header.filter((column) => column !== "error"), "error"];
  const rows = failures.map(({ row, message }) => ({
    ...Object.fromEntries(header.map((column, index) => [column, row.fields[index] ?? ""])),
    error: message,
  }));
  download(`${name.replace(/\.[^.]*$/, "")}.failures.csv`, csvOf(columns, rows));
}
