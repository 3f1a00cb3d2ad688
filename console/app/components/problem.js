// @ts-check
/** What went wrong, and what to do about it. */
import { html } from "../html.js";
import { t, word } from "../text.js";

/**
 * The sentence for a problem: the service's own, or ours where the service did not answer.
 * @param {import("../api.js").Problem} problem
 * @returns {string}
 */
export function sentenceOf(problem) {
  const known = word("problem", problem.code);
  if (known !== problem.code) {
    return known;
  }
  if (problem.status === 0 || !problem.body.title) {
    return problem.status === 0
      ? t("problem.not_reached")
      : t("problem.strange", { status: problem.status });
  }
  const fields = (problem.body.errors ?? []).map((e) => `${e.field}: ${e.message}`);
  const { detail, title, reason } = problem.body;
  const why = reason ? [`${t("reason")}: ${word("reason", reason)}.`] : [];
  return [detail ?? title, ...why, ...fields].join(" ");
}

/** @param {{problem: import("../api.js").Problem, retry?: () => void}} properties */
export function ProblemNotice({ problem, retry }) {
  const id = problem.body?.request_id;
  return html`<div class="notice bad" role="alert">
    <p>${sentenceOf(problem)}</p>
    ${id && html`<p class="quiet">${t("request_id")} <code>${id}</code></p>`}
    ${retry && html`<button type="button" onClick=${retry}>${t("try_again")}</button>`}
  </div>`;
}

/**
 * Show a resource once it was read; say so while it is not, and when it is out of date.
 * @param {{resource: import("../resource.js").Resource<any>, children: (data: any) => any, missing?: string}} properties
 */
export function Loaded({ resource, children, missing }) {
  const { data, problem, reload } = resource;
  if (problem?.status === 404 && missing) {
    return html`<div class="notice" role="alert"><p>${missing}</p></div>`;
  }
  return html`
    ${problem && html`<${ProblemNotice} problem=${problem} retry=${reload} />`}
    ${data !== null ? children(data) : !problem && html`<p class="quiet" role="status">${t("reading")}</p>`}
  `;
}
