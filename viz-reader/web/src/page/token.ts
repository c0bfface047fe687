/** The address's token is kept for this tab and taken out of the address. */

const KEY = "tympan.token";

export function token(): string | null {
  const inAddress = new URLSearchParams(location.hash.slice(1)).get("token");
  if (inAddress) {
    sessionStorage.setItem(KEY, inAddress);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(KEY);
}
