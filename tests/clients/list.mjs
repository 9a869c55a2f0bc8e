// Sends a list of commands with Node's fetch. Arguments and output are those of list.py.
import { readFileSync } from "node:fs";

const [url, token, file, prefer] = process.argv.slice(2);
const headers = { authorization: `Bearer ${token}`, "content-type": "application/x-ndjson" };
if (prefer) headers.prefer = prefer;
const response = await fetch(`${url}/v1/commands`, { method: "POST", headers, body: readFileSync(file) });
const answer = await response.text();
const statuses = {};
for (const line of answer.split("\n").filter((line) => line)) {
  const { status } = JSON.parse(line);
  statuses[status] = (statuses[status] ?? 0) + 1;
}
console.log(JSON.stringify({ client: "fetch", statuses, bytes: Buffer.byteLength(answer) }));
