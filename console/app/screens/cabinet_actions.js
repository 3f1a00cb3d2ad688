// @ts-check
/** What an operator can do with a cabinet and its cells. */
import { change, Problem } from "../api.js";
import { now } from "../clock.js";
import { outcomeOf } from "../components/lists.js";
import { path } from "../route.js";
import { t, word } from "../text.js";

/** @typedef {{label: string, action: () => import("../components/dialog.js").Action, isDisabled?: boolean}} Offered */

const reason = () => ({ name: "reason", label: t("reason"), hint: t("reason_hint") });

/**
 * Send a command and return what the cabinet did.
 * @param {string} id
 * @param {object} body
 * @param {string} key
 */
async function command(id, body, key) {
  try {
    const done = await change("POST", path`/v1/cabinets/${id}/commands`, body, key);
    return `${word("command", done.kind)}: ${word("command_status", done.status)}. ${outcomeOf(done)}`;
  } catch (error) {
    if (error instanceof Problem && error.code === "cabinet_no_answer") {
      return t("no_answer_yet");
    }
    throw error;
  }
}

/**
 * @param {any} cabinet
 * @param {number[]} cells the selected ones
 * @param {() => void} done
 * @returns {Offered[]}
 */
export function cellActions(cabinet, cells, done) {
  const id = cabinet.cabinet_id;
  const isDisabled = cells.length === 0;
  const list = cells.join(", ");
  return [
    {
      label: t("unlock"),
      isDisabled,
      action: () => ({
        title: t("unlock_title", { cells: list, id }),
        explanation: t("unlock_explanation"),
        fields: [
          reason(),
          { name: "contractor_id", label: t("for_whom"), optional: true, hint: t("for_whom_hint") },
        ],
        confirm: t("unlock"),
        isDangerous: true,
        run: async ({ reason: why, contractor_id: whom }, key) => {
          const said = await command(
            id,
            { kind: "unlock", cells, reason: why, ...(whom ? { contractor_id: whom } : {}) },
            key,
          );
          done();
          return said;
        },
      }),
    },
    {
      label: t("lock"),
      isDisabled,
      action: () => ({
        title: t("lock_title", { cells: list, id }),
        fields: [reason()],
        confirm: t("lock"),
        run: async ({ reason: why }, key) => {
          const said = await command(id, { kind: "lock", cells, reason: why }, key);
          done();
          return said;
        },
      }),
    },
    healthAction(id, cells, "disabled", done),
    healthAction(id, cells, "ok", done),
  ];
}

/**
 * @param {string} id
 * @param {number[]} cells
 * @param {"ok" | "disabled"} health
 * @param {() => void} done
 * @returns {Offered}
 */
function healthAction(id, cells, health, done) {
  const label = health === "ok" ? t("enable_cell") : t("disable_cell");
  return {
    label,
    isDisabled: cells.length === 0,
    action: () => ({
      title: `${label}: ${t("cells_list", { cells: cells.join(", ") })}`,
      explanation: health === "ok" ? t("enable_explanation") : t("disable_explanation"),
      fields: [reason()],
      confirm: label,
      run: async ({ reason: why }) => {
        for (const cell of cells) {
          await change("PATCH", path`/v1/cabinets/${id}/cells/${cell}`, { health, reason: why });
        }
        done();
        return t("done");
      },
    }),
  };
}

/**
 * @param {any} cabinet
 * @param {() => void} reload
 * @returns {Offered[]}
 */
export function cabinetActions(cabinet, reload) {
  const id = cabinet.cabinet_id;
  const isActive = cabinet.status === "active";
  /** @param {object} body */
  const patch = async (body) => {
    await change("PATCH", path`/v1/cabinets/${id}`, body);
    reload();
    return t("done");
  };
  return [
    {
      label: t("report_state"),
      action: () => ({
        title: t("report_state_title", { id }),
        fields: [reason()],
        confirm: t("report_state"),
        run: async ({ reason: why }, key) => {
          const said = await command(id, { kind: "report_state", reason: why }, key);
          reload();
          return said;
        },
      }),
    },
    {
      label: isActive ? t("deactivate") : t("activate"),
      action: () => ({
        title: isActive ? t("deactivate_title", { id }) : t("activate_title", { id }),
        explanation: isActive ? t("deactivate_explanation") : undefined,
        fields: [reason()],
        confirm: isActive ? t("deactivate") : t("activate"),
        isDangerous: isActive,
        run: ({ reason: why }) =>
          patch({ status: isActive ? "inactive" : "active", status_reason: why }),
      }),
    },
    {
      label: t("enrol"),
      action: () => ({
        title: t("enrol_title", { id }),
        explanation: t("enrol_explanation"),
        fields: [
          {
            name: "hours",
            label: t("enrol_hours"),
            type: "number",
            value: "1",
            hint: t("enrol_hint"),
          },
        ],
        confirm: t("enrol"),
        run: ({ hours }) => patch({ enrol_until: enrolUntil(Number(hours)) }),
      }),
    },
    ...suspicionActions(cabinet, patch, reload),
    {
      label: t("change_cells"),
      action: () => ({
        title: t("change_cells_title", { id }),
        explanation: t("change_cells_explanation"),
        fields: [
          {
            name: "cells_total",
            label: t("cells"),
            type: "number",
            value: String(cabinet.cells_total),
          },
        ],
        confirm: t("save"),
        run: ({ cells_total: total }) => patch({ cells_total: Number(total) }),
      }),
    },
  ];
}

/**
 * Believe a cabinet about what others hold, or not; undo what it has claimed.
 * @param {any} cabinet
 * @param {(body: object) => Promise<string>} patch
 * @param {() => void} reload
 * @returns {Offered[]}
 */
function suspicionActions(cabinet, patch, reload) {
  const id = cabinet.cabinet_id;
  const isSuspect = Boolean(cabinet.suspect_since);
  return [
    {
      label: isSuspect ? t("clear_suspect") : t("suspect_it"),
      action: () => ({
        title: isSuspect ? t("clear_suspect_title", { id }) : t("suspect_it_title", { id }),
        explanation: isSuspect ? t("clear_suspect_explanation") : t("suspect_it_explanation"),
        fields: [reason()],
        confirm: isSuspect ? t("clear_suspect") : t("suspect_it"),
        isDangerous: isSuspect,
        run: ({ reason: why }) => patch({ suspect: !isSuspect, suspect_reason: why }),
      }),
    },
    {
      label: t("undo_claims"),
      action: () => ({
        title: t("undo_claims_title", { id }),
        explanation: t("undo_claims_explanation"),
        fields: [{ name: "hours", label: t("undo_hours"), type: "number", value: "24" }, reason()],
        confirm: t("undo_claims"),
        isDangerous: true,
        run: async ({ hours, reason: why }, key) => {
          const since = new Date(now() - Number(hours) * 3_600_000).toISOString();
          const undone = await change(
            "POST",
            path`/v1/cabinets/${id}/undo`,
            { since, reason: why },
            key,
          );
          reload();
          return t("claims_undone", { restored: undone.restored.length, kept: undone.kept.length });
        },
      }),
    },
  ];
}

/** @param {number} hours */
function enrolUntil(hours) {
  return hours > 0 ? new Date(now() + hours * 3_600_000).toISOString() : null;
}
