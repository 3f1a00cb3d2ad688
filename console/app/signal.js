// @ts-check
/** A value that tells its listeners when it changes. */
import { useEffect, useState } from "preact/hooks";

/** @template T */
export class Signal {
  /** @param {T} value */
  constructor(value) {
    this.value = value;
    /** @type {Set<(value: T) => void>} */
    this.listeners = new Set();
  }

  /** @param {T} value */
  set(value) {
    this.value = value;
    for (const listener of [...this.listeners]) {
      listener(value);
    }
  }

  /**
   * @param {(value: T) => void} listener
   * @returns {() => void} ends it
   */
  listen(listener) {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }
}

/**
 * Return the value, and draw the component again when it changes.
 * @template T
 * @param {Signal<T>} signal
 * @returns {T}
 */
export function useSignal(signal) {
  const [value, set] = useState(signal.value);
  useEffect(() => {
    set(signal.value);
    return signal.listen(set);
  }, [signal]);
  return value;
}
