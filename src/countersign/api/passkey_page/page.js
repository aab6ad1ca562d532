// The passkey page: spends its ticket, shows what is to be signed after computing its digest anew, and has it signed.
"use strict";

const TITLES = {
  approve: "Approve a request",
  enrol: "Make a passkey",
  vouch: "Vouch for somebody's passkey",
  remove: "Have a passkey removed",
  propose: "Sign the rules that you propose",
  adopt: "Bring rules into force",
  envelope: "Sign an envelope for an emergency",
};
const at = (id) => document.getElementById(id);

function bytes(text) {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (character) => character.charCodeAt(0));
}

function spelled(buffer) {
  const plain = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

// RFC 8785 for what statements hold: objects, lists, texts, whole numbers, true, false and null.
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const members = Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`);
    return `{${members.join(",")}}`;
  }
  return JSON.stringify(value);
}

async function digestOf(label, statement) {
  const said = new TextEncoder().encode(`${label}\n${canonical(statement)}`);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", said));
}

function fingerprintOf(digest) {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  let bits = "";
  for (const byte of digest.slice(0, 10)) bits += byte.toString(2).padStart(8, "0");
  const text = bits.match(/.{5}/g).map((five) => letters[parseInt(five, 2)]).join("");
  return text.match(/.{4}/g).join("-");
}

async function call(name, body) {
  const answer = await fetch(`/passkey-calls/${name}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    credentials: "omit",
    cache: "no-store",
  });
  const said = await answer.json();
  if (!answer.ok) throw new Error(`${said.detail} (${said.code})`);
  return said;
}

async function assertionBy(task, challenge, allow) {
  const made = await navigator.credentials.get({
    publicKey: {
      challenge: bytes(challenge),
      rpId: task.rp_id,
      allowCredentials: Object.keys(allow).map((id) => ({ type: "public-key", id: bytes(id) })),
      userVerification: "required",
      timeout: 120000,
    },
  });
  return {
    secret: task.secret,
    passkey: allow[spelled(made.rawId)],
    client_data: spelled(made.response.clientDataJSON),
    authenticator_data: spelled(made.response.authenticatorData),
    signature: spelled(made.response.signature),
  };
}

async function enrol(task) {
  const made = await navigator.credentials.create({
    publicKey: {
      challenge: bytes(task.challenge),
      rp: { id: task.rp_id, name: "Countersign" },
      user: { id: new TextEncoder().encode(task.person), name: task.person, displayName: task.person },
      pubKeyCredParams: [-7, -8, -257].map((alg) => ({ type: "public-key", alg })),
      excludeCredentials: Object.keys(task.allow).map((id) => ({ type: "public-key", id: bytes(id) })),
      authenticatorSelection: { userVerification: "required", residentKey: "preferred" },
      attestation: "none",
    },
  });
  const { next } = await call("finish", {
    secret: task.secret,
    client_data: spelled(made.response.clientDataJSON),
    attestation_object: spelled(made.response.attestationObject),
  });
  at("fingerprint").textContent = next.fingerprint;
  at("mark").hidden = false;
  at("said").textContent = "The key is made. Now it signs its own enrolment.";
  return assertionBy(task, next.challenge, { [next.credential_id]: next.passkey });
}

async function act(task) {
  at("go").disabled = true;
  at("said").textContent = "Follow what your device asks for.";
  try {
    const signed = task.act === "enrol" ? await enrol(task) : await assertionBy(task, task.challenge, task.allow);
    const done = await call("finish", signed);
    at("go").hidden = true;
    at("said").textContent = `Done: ${done.id} is ${done.state}. You can close this page.`;
  } catch (fault) {
    at("go").disabled = false;
    at("said").textContent = `Nothing was signed: ${fault.message}`;
  }
}

async function begin() {
  const ticket = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  const task = await call("open", { ticket });
  at("title").textContent = TITLES[task.act];
  for (const [name, value] of task.lines) {
    at("lines").append(Object.assign(document.createElement("dt"), { textContent: name }));
    at("lines").append(Object.assign(document.createElement("dd"), { textContent: value }));
  }
  if (task.statement !== null) {
    const digest = fingerprintOf(await digestOf(task.label, task.statement));
    if (digest !== task.fingerprint) throw new Error("what is shown is not what would be signed");
    at("fingerprint").textContent = digest;
    at("mark").hidden = false;
  }
  at("said").textContent = `You are ${task.person}.`;
  at("go").hidden = false;
  at("go").addEventListener("click", () => act(task));
}

begin().catch((fault) => {
  at("said").textContent = fault.message;
});
