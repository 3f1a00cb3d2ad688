// @ts-check
/** Reads a CSV of cabinets and accumulators, as `python -m tools import` does. */

const NUMBERS = new Set(["lat", "lon", "cells_total", "battery_charge"]);
const OF_CABINETS = ["cabinet_id", "device_id", "lat", "lon", "address", "cells_total", "protocol"];
const OF_ACCUMULATORS = ["accumulator_id", "battery_charge", "contractor_id", "scooter_id"];
const KNOWN = [...OF_CABINETS, ...OF_ACCUMULATORS, "error"];

/** The file cannot be understood. The message is the name of a text, and what it takes. */
export class NotReadable extends Error {
  /**
   * @param {import("./text.js").TextName} text
   * @param {Record<string, string | number>} [values]
   */
  constructor(text, values = {}) {
    super(text);
    this.text = text;
    this.values = values;
  }
}

/**
 * @typedef {object} Row
 * @property {number} line where it begins in the file
 * @property {string[]} fields
 * @property {"cabinet" | "accumulator"} kind
 * @property {string} id
 * @property {object} body what the API takes
 */

/**
 * @param {ArrayBuffer} bytes
 * @returns {{header: string[], rows: Row[]}}
 * @throws {NotReadable}
 */
export function read(bytes) {
  const [header, ...records] = parse(decoded(bytes));
  if (!header) {
    throw new NotReadable("file_is_empty");
  }
  const names = header.fields.map((name) =>
    name
      .trim()
      .toLowerCase()
      .replace(/[\s-]+/g, "_"),
  );
  const unknown = names.find((name) => name && !KNOWN.includes(name));
  if (unknown) {
    throw new NotReadable("column_is_unknown", {
      name: unknown,
      known: KNOWN.slice(0, -1).join(", "),
    });
  }
  const twice = names.find((name, index) => name && names.indexOf(name) !== index);
  if (twice) {
    throw new NotReadable("column_is_twice", { name: twice });
  }
  if (!names.includes("cabinet_id") && !names.includes("accumulator_id")) {
    throw new NotReadable("no_id_column");
  }
  const rows = records
    .filter(({ fields }) => fields.some((field) => field.trim()))
    .map((record) => rowOf(names, record));
  if (rows.length === 0) {
    throw new NotReadable("file_is_empty");
  }
  return { header: names, rows };
}

/** @param {ArrayBuffer} bytes UTF-8, or as Excel writes it in Russian */
function decoded(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("windows-1251").decode(bytes);
  }
}

/**
 * @param {string[]} names
 * @param {{line: number, fields: string[]}} record
 * @returns {Row}
 */
function rowOf(names, { line, fields }) {
  if (fields.length > names.length) {
    throw new NotReadable("too_many_fields", {
      line,
      found: fields.length,
      expected: names.length,
    });
  }
  const given = Object.fromEntries(
    names.map((name, index) => [name, (fields[index] ?? "").trim()]),
  );
  const kind = given.accumulator_id ? "accumulator" : "cabinet";
  const wanted = kind === "cabinet" ? OF_CABINETS : OF_ACCUMULATORS;
  const values = wanted
    .filter((name) => given[name])
    .map((name) => [name, readValue(name, given[name])]);
  const { lat, lon, ...body } = Object.fromEntries(values);
  if (lat !== undefined || lon !== undefined) {
    body.coords = { lat, lon };
  }
  return { line, fields, kind, id: given[`${kind}_id`], body };
}

/**
 * @param {string} name
 * @param {string} text
 * @returns {string | number} the text itself if it is no number: the service says what is wrong
 */
function readValue(name, text) {
  const number = Number(text.replace(",", "."));
  return NUMBERS.has(name) && !Number.isNaN(number) ? number : text;
}

/**
 * @param {string} text
 * @returns {{line: number, fields: string[]}[]}
 */
function parse(text) {
  const content = text.replace(/^\ufeff/, "");
  const first = content.split(/\r?\n/, 1)[0];
  const separator = [";", "\t", ","].reduce((a, b) =>
    first.split(b).length > first.split(a).length ? b : a,
  );
  /** @type {{line: number, fields: string[]}[]} */
  const records = [];
  let fields = [""];
  let line = 1;
  let begun = 1;
  let isQuoted = false;
  for (let at = 0; at < content.length; at += 1) {
    const character = content[at];
    line += character === "\n" ? 1 : 0;
    if (isQuoted) {
      if (character === '"' && content[at + 1] === '"') {
        at += 1;
        fields[fields.length - 1] += '"';
      } else if (character === '"') {
        isQuoted = false;
      } else {
        fields[fields.length - 1] += character;
      }
    } else if (character === '"' && fields.at(-1) === "") {
      isQuoted = true;
    } else if (character === separator) {
      fields.push("");
    } else if (character === "\n") {
      records.push({ line: begun, fields });
      fields = [""];
      begun = line;
    } else if (character !== "\r") {
      fields[fields.length - 1] += character;
    }
  }
  if (isQuoted) {
    throw new NotReadable("quote_is_open", { line: begun });
  }
  if (fields.length > 1 || fields[0]) {
    records.push({ line: begun, fields });
  }
  return records;
}
