// @ts-check
/** Writes CSV files, and hands them to the browser. */

/**
 * @param {string[]} columns
 * @param {any[]} rows
 * @returns {string}
 */
export function csvOf(columns, rows) {
  const lines = rows.map((row) => columns.map((name) => fieldOf(row[name])).join(","));
  return `${[columns.join(","), ...lines].join("\r\n")}\r\n`;
}

/** @param {unknown} value */
function fieldOf(value) {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * @param {string} name
 * @param {string} text
 */
export function download(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv;charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
