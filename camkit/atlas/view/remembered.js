// What a browser remembers between visits. Some pages may remember nothing.

/**
 * Return what is remembered under a key, or null.
 *
 * @param {string} key
 */
export function recall(key) {
  try {
    return JSON.parse(localStorage.getItem(key) ?? "null");
  } catch {
    return null;
  }
}

/**
 * Return the keys with a beginning.
 *
 * @param {string} beginning
 */
export function rememberedKeys(beginning) {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(beginning));
  } catch {
    return [];
  }
}

/**
 * Remember a setting, if the browser does.
 *
 * @param {string} key
 * @param {unknown} value
 */
export function rememberSetting(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // It is asked for again next time.
  }
}
