// How the page asks the server: the same commands as everybody, with the token in a header.
// The token is kept for this tab only, and never in a cookie, so no other site can use it.

const TOKEN = "magicqueue.token";

/** What the server knows of us and of itself; filled by `meet`. */
export const server = {
  hello: null,
  scopes: new Set(),
  tokenName: null,
  needsToken: false,
  refused: null,
};

export class Refused extends Error {
  constructor(status, code, sentence) {
    super(sentence);
    this.status = status;
    this.code = code;
  }
}

export function token() {
  try {
    return sessionStorage.getItem(TOKEN) ?? "";
  } catch {
    return "";
  }
}

export function setToken(secret) {
  if (secret) sessionStorage.setItem(TOKEN, secret);
  else sessionStorage.removeItem(TOKEN);
}

function headers(more = {}) {
  const secret = token();
  return secret ? { ...more, Authorization: `Bearer ${secret}` } : more;
}

async function answer(request) {
  let response;
  try {
    response = await request;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "UNREACHABLE", "the server cannot be reached");
  }
  const reply = await response.json();
  if (!reply.ok) {
    if (response.status === 401) server.needsToken = true;
    throw new Refused(response.status, reply.code, reply.error);
  }
  return reply;
}

/** Run a command; gives its reply, or throws Refused. */
export function command(name, fields = {}, signal = undefined) {
  return answer(
    fetch(`v1/${name.toLowerCase()}`, {
      method: "POST",
      headers: headers({ "Content-Type": "application/json" }),
      body: typeof fields === "string" ? fields : JSON.stringify(fields),
      signal,
    }),
  );
}

export function get(path, signal = undefined) {
  return answer(fetch(path, { headers: headers(), signal }));
}

/** Learn who the server is, and what this token may do. */
export async function meet() {
  try {
    const [hello, who] = await Promise.all([command("HELLO", { client: "dashboard" }), get("v1/token")]);
    server.hello = hello;
    server.scopes = new Set(who.scopes);
    server.tokenName = who.name;
    server.needsToken = false;
    server.refused = null;
  } catch (error) {
    server.refused = error.message;
    throw error;
  }
}

export function can(word) {
  return server.hello?.capabilities?.includes(word) ?? false;
}

/** Why the server does not do all that it should, or null. */
export async function notReady() {
  try {
    await get("ready");
    return null;
  } catch (error) {
    return error.message;
  }
}

/** Whether this token may change things: without the scope, no button is shown. */
export function may(scope) {
  return server.scopes.has("admin") || server.scopes.has(scope);
}
