// @ts-check
/** The operator's key: kept for this tab only, and known by its name and scope. */
import { Signal } from "./signal.js";

const STORED_AS = "key";
const SCOPES = ["read", "backend", "operator"];

/**
 * @typedef {object} Identity
 * @property {string} key empty: nobody has signed in
 * @property {string | null} caller the key's name; null: not known yet
 * @property {"read" | "backend" | "operator" | null} scope
 * @property {boolean} isRefused the service no longer accepts the last key
 */

/** @type {Identity} */
const NOBODY = { key: "", caller: null, scope: null, isRefused: false };

/** @extends {Signal<Identity>} */
class Session extends Signal {
  constructor() {
    super({ ...NOBODY, key: sessionStorage.getItem(STORED_AS) ?? "" });
  }

  /**
   * Use a key from now on.
   * @param {string} key
   * @param {{caller: string, scope: "read" | "backend" | "operator"}} owner
   */
  begin(key, owner) {
    sessionStorage.setItem(STORED_AS, key);
    this.set({ ...NOBODY, key, ...owner });
  }

  /** Forget the key. */
  end() {
    sessionStorage.removeItem(STORED_AS);
    this.set(NOBODY);
  }

  /**
   * Ask the service whose key this is, and end the session if it is nobody's.
   * @param {string} key
   * @param {(key: string) => Promise<any>} whose
   */
  async check(key, whose) {
    try {
      const owner = await whose(key);
      if (this.value.key === key) {
        this.set({ ...NOBODY, key, ...owner });
      }
    } catch (error) {
      const status = /** @type {{status?: number}} */ (error).status;
      if ((status === 401 || status === 403) && this.value.key === key) {
        sessionStorage.removeItem(STORED_AS);
        this.set({ ...NOBODY, isRefused: true });
      }
    }
  }

  /**
   * Whether the key's scope includes another.
   * @param {"read" | "backend" | "operator"} scope
   */
  may(scope) {
    return SCOPES.indexOf(this.value.scope ?? "") >= SCOPES.indexOf(scope);
  }
}

export const session = new Session();
