// What the tests are given: the API's address, and the headers of two users and an administrator.

export const url = process.env.PARLEY_URL;

const tokens = JSON.parse(process.env.PARLEY_TOKENS);

export const headersOf = (user) => ({Authorization: tokens[user]});

let made = 0;

// An id as front ends make them: no UUID.
export const newId = (kind) => `${kind}_${process.pid.toString(36)}-${made++}`;

export async function ask(method, path, user, body) {
  const response = await fetch(url + path, {
    method,
    headers: {...headersOf(user), "Content-Type": "application/json"},
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return response.json();
}

// Lets the model go on that waits with this name.
export const open = (name) => ask("POST", "/messages", "alice", {text: `open ${name}`});

// A message on which the agent makes these calls, step after step, and says what they answered.
export const calling = (...steps) => `ask ${JSON.stringify(steps)}`;

export const refund = (cents, order = "A1") => ["refund", {order, cents}];

// Decides over the API, as the command line does.
export const decide = (user, id, body, admin = false) =>
  ask("POST", `${admin ? "/admin" : ""}/approvals/${id}`, user, body);

// Waits until something has happened: the test run has a limit, no single wait.
export async function until(happened) {
  while (!(await happened())) await new Promise((resume) => setTimeout(resume, 10));
}
