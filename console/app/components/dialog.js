// @ts-check
/** Asks before something is changed, sends it once, and says what happened. */
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { Problem } from "../api.js";
import { html } from "../html.js";
import { t } from "../text.js";
import { ProblemNotice } from "./problem.js";
import { say } from "./toast.js";

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {string} [value]
 * @property {"text" | "number" | "select" | "datetime-local"} [type]
 * @property {{value: string, label: string}[]} [options]
 * @property {boolean} [optional]
 * @property {string} [hint]
 */

/**
 * @typedef {object} Action
 * @property {string} title
 * @property {string} [explanation]
 * @property {Field[]} [fields]
 * @property {string} confirm the button's words
 * @property {boolean} [isDangerous]
 * @property {(values: Record<string, string>, idempotencyKey: string) => Promise<string>} run
 *   sends the request; returns what happened, as a sentence
 */

/** @param {{action: Action, close: () => void}} properties */
export function Confirmation({ action, close }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const [isSending, setSending] = useState(false);
  const [problem, setProblem] = useState(/** @type {Problem | null} */ (null));
  // Sent again after a failure, the request has the same key: it is carried out once.
  const key = useRef(crypto.randomUUID());
  const hasBegun = useRef(false);
  const title = useId();

  useEffect(() => {
    const opener = /** @type {HTMLButtonElement} */ (document.activeElement);
    dialog.current?.showModal();
    return () => {
      if (opener.disabled || !opener.isConnected) {
        document.querySelector("h1")?.focus(); // The button cannot have the focus back.
      }
    };
  }, []);

  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    if (hasBegun.current) {
      return;
    }
    hasBegun.current = true;
    setSending(true);
    setProblem(null);
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const values = Object.fromEntries(
      [...form].map(([name, value]) => [name, String(value).trim()]),
    );
    try {
      say(await action.run(values, key.current));
      dialog.current?.close();
    } catch (error) {
      const found = error instanceof Problem ? error : null;
      if (found === null) {
        throw error;
      }
      if (!found.isOutage) {
        key.current = crypto.randomUUID(); // The answer was final: another try is another request.
      }
      setProblem(found);
    } finally {
      hasBegun.current = false;
      setSending(false);
    }
  }

  /** @param {Event} event */
  function cancel(event) {
    if (hasBegun.current) {
      event.preventDefault();
    }
  }

  return html`<dialog ref=${dialog} aria-labelledby=${title} onClose=${close} onCancel=${cancel}>
    <form method="dialog" onSubmit=${submit}>
      <h2 id=${title}>${action.title}</h2>
      ${action.explanation && html`<p>${action.explanation}</p>`}
      ${(action.fields ?? []).map((field) => html`<${Input} field=${field} />`)}
      ${problem && html`<${ProblemNotice} problem=${problem} />`}
      <div class="buttons">
        <button type="submit" class=${action.isDangerous ? "danger" : "primary"} disabled=${isSending}>
          ${isSending ? t("sending") : action.confirm}
        </button>
        <button type="button" disabled=${isSending} onClick=${() => dialog.current?.close()}>${t("cancel")}</button>
      </div>
    </form>
  </dialog>`;
}

/** @param {{field: Field}} properties */
function Input({ field }) {
  const id = useId();
  const hint = useId();
  const common = {
    id,
    name: field.name,
    required: !field.optional,
    "aria-describedby": field.hint ? hint : undefined,
  };
  const input =
    field.type === "select"
      ? html`<select ...${common}>
          ${(field.options ?? []).map(({ value, label }) => html`<option value=${value}>${label}</option>`)}
        </select>`
      : html`<input ...${common} type=${field.type ?? "text"} defaultValue=${field.value ?? ""} maxlength="500" autocomplete="off" />`;
  return html`<div class="field">
    <label for=${id}>${field.label}</label>
    ${input}
    ${field.hint && html`<p class="quiet" id=${hint}>${field.hint}</p>`}
  </div>`;
}

/**
 * Buttons, each with an action that is confirmed.
 * @param {{actions: {label: string, action: () => Action, isDisabled?: boolean}[]}} properties
 */
export function Actions({ actions }) {
  const [open, setOpen] = useState(/** @type {Action | null} */ (null));
  return html`
    <div class="buttons">
      ${actions.map(
        ({ label, action, isDisabled }) =>
          html`<button type="button" disabled=${isDisabled} onClick=${() => setOpen(action())}>${label}</button>`,
      )}
    </div>
    ${open && html`<${Confirmation} action=${open} close=${() => setOpen(null)} />`}
  `;
}
