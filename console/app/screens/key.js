// @ts-check
/** Asks for the operator's key. */
import { useState } from "preact/hooks";
import { whose } from "../api.js";
import { sentenceOf } from "../components/problem.js";
import { html } from "../html.js";
import { localKeys } from "../page.js";
import { session } from "../session.js";
import { useSignal } from "../signal.js";
import { t, word } from "../text.js";

export function Key() {
  const { isRefused } = useSignal(session);
  const [isAsking, setAsking] = useState(false);
  const [problem, setProblem] = useState(/** @type {string | null} */ (null));

  /** @param {string} key */
  async function use(key) {
    if (!/^[!-~]+$/.test(key)) {
      setProblem(t("key_is_malformed"));
      return;
    }
    setAsking(true);
    setProblem(null);
    try {
      session.begin(key, await whose(key));
    } catch (error) {
      const found = /** @type {import("../api.js").Problem} */ (error);
      const isRefused = found.status === 401 || found.status === 403;
      setProblem(isRefused ? t("key_is_unknown") : sentenceOf(found));
    } finally {
      setAsking(false);
    }
  }

  /** @param {SubmitEvent} event */
  function submit(event) {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    use(String(form.get("key")).trim());
  }

  return html`<div class="key">
    <h1 tabindex="-1">${t("sign_in")}</h1>
    <p>${t("key_explanation")}</p>
    ${isRefused && !problem && html`<p class="notice bad" role="alert">${t("key_was_refused")}</p>`}
    ${problem && html`<p class="notice bad" role="alert">${problem}</p>`}
    <form onSubmit=${submit}>
      <label for="key">${t("key")}</label>
      <input id="key" name="key" type="password" required autocomplete="off" spellcheck=${false} />
      <button type="submit" class="primary" disabled=${isAsking}>${isAsking ? t("checking") : t("use_key")}</button>
    </form>
    ${
      localKeys.length > 0 &&
      html`
      <p>${t("local_keys")}</p>
      <div class="buttons">
        ${localKeys.map((key) => html`<button type="button" key=${key} disabled=${isAsking} onClick=${() => use(key)}>${key} <span class="quiet">${word("scope", key.replace("local-", ""))}</span></button>`)}
      </div>`
    }
  </div>`;
}
