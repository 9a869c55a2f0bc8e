// Reads /openapi.json and /asyncapi.json and lays them out to be read: each operation with its parameters, body, examples,
// answers and refusals, each stream with its events.
// Text goes in as text nodes only: nothing in the document can become markup.

const MAX_LEVELS = 6;
/** Where the description of the streams hangs in that of the API, so that references lead somewhere in either. */
const STREAMS = "x-streams";
let api;

/** Makes an element: `make("p", { class: "text" }, "words", child)`. Absent children are skipped. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** Text in which `backticks` are code. */
function prose(text) {
  return (text ?? "").split(/(`[^`]+`)/).map((part) =>
    part.length > 2 && part.startsWith("`") ? make("code", {}, part.slice(1, -1)) : part);
}

function resolve(node) {
  const seen = new Set();
  while (node?.$ref && !seen.has(node.$ref)) {
    seen.add(node.$ref);
    const target = node.$ref.slice(2).split("/").reduce((at, step) => at?.[step.replaceAll("~1", "/").replaceAll("~0", "~")], api);
    const { $ref, ...beside } = node;
    node = { ...target, ...beside, "x-name": $ref.split("/").pop() };
  }
  return node ?? {};
}

// ------------------------------------------------------------------------------------------------------------- schemas

/** The parts of `allOf` as one object. */
function joined(schema) {
  if (!schema.allOf) return schema;
  const parts = schema.allOf.map(resolve);
  return {
    type: "object",
    properties: Object.assign({}, ...parts.map((part) => part.properties)),
    required: parts.flatMap((part) => part.required ?? []),
  };
}

function alternatives(schema) {
  return schema.oneOf ?? schema.anyOf ?? [];
}

/** What a value is, in a few words. */
function typeOf(raw, level = 0) {
  const schema = resolve(raw);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.discriminator && schema["x-name"]) return schema["x-name"];
  const choices = alternatives(schema);
  if (choices.length && level < 3) {
    return [...new Set(choices.map((choice) => typeOf(choice, level + 1)))].join(" | ");
  }
  const types = [schema.type ?? (schema.properties ? "object" : "any")].flat();
  return types.map((type) => {
    if (type === "array" && schema.items && level < 3) return `array of ${typeOf(schema.items, level + 1)}`;
    if (type === "object" && schema["x-name"]) return schema["x-name"];
    return schema.format && type !== "null" && !/^u?int/.test(schema.format) ? `${type} (${schema.format})` : type;
  }).join(" | ");
}

function limits(raw) {
  const schema = resolve(raw);
  const words = [];
  const between = (low, high, unit) => {
    if (low !== undefined && high !== undefined) words.push(`${low} to ${high}${unit}`);
    else if (high !== undefined) words.push(`at most ${high}${unit}`);
    else if (low !== undefined && low > 0) words.push(`at least ${low}${unit}`);
  };
  between(schema.minimum, schema.maximum, "");
  between(schema.minLength, schema.maxLength, " characters");
  between(schema.minItems, schema.maxItems, " items");
  if (schema.pattern) words.push(`matches ${schema.pattern}`);
  if (schema.default !== undefined && schema.default !== null) words.push(`default ${JSON.stringify(schema.default)}`);
  return words.join(", ");
}

/** The object within a schema whose fields are worth a list: itself, an array's items, the one object among choices. */
function inner(raw) {
  const schema = joined(resolve(raw));
  if (schema.properties && Object.keys(schema.properties).length) return schema;
  if (schema.items) return inner(schema.items);
  const objects = alternatives(schema).map(inner).filter(Boolean);
  return objects.length === 1 ? objects[0] : undefined;
}

function fields(raw, level = 0, within = []) {
  const schema = inner(raw);
  if (!schema || level > MAX_LEVELS || within.includes(schema["x-name"] ?? schema)) return undefined;
  const trail = [...within, schema["x-name"] ?? schema];
  const required = new Set(schema.required ?? []);
  return make("div", { class: "fields" },
    Object.entries(schema.properties).map(([name, property]) =>
      field(name, property, required.has(name), () => fields(property, level + 1, trail))),
    schema.discriminator && kinds(schema, level, trail));
}

/** What one of several kinds adds to the fields that all of them have: an event's type and its data. */
function kinds(schema, level, trail) {
  const told = schema.discriminator.propertyName;
  return make("div", { class: "field" },
    make("div", { class: "head" }, make("b", {}, told), make("span", { class: "required" }, "one of these")),
    make("details", {}, make("summary", {}, `${alternatives(schema).length} kinds`),
      make("div", { class: "fields" }, alternatives(schema).map(resolve).map((kind) =>
        field(kind.properties[told].const, { description: kind.description, type: "" }, false,
          () => fields({ ...kind, "x-name": undefined }, level + 1, trail))))));
}

function field(name, schema, required, nested) {
  const below = nested?.();
  const about = resolve(schema).description;
  return make("div", { class: "field" },
    make("div", { class: "head" },
      make("b", {}, name),
      make("span", { class: "type" }, typeOf(schema)),
      required && make("span", { class: "required" }, "required"),
      make("span", { class: "type" }, limits(schema))),
    about && make("div", { class: "about" }, prose(about)),
    below && make("details", {}, make("summary", {}, "fields"), below));
}

// ---------------------------------------------------------------------------------------------------------- operations

function examples(media) {
  const named = Object.entries(media.examples ?? {});
  if (media.example !== undefined) named.push(["example", { value: media.example }]);
  return named.map(([name, example]) => [name, resolve(example)]);
}

function text(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

function parameterList(operation, item) {
  const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])].map(resolve);
  if (!parameters.length) return [];
  return [make("h4", {}, "Parameters"), make("div", { class: "fields" }, parameters.map((parameter) =>
    field(`${parameter.name}`, { ...resolve(parameter.schema), description: `${parameter.description ?? ""}` },
      parameter.required && parameter.in !== "path")).map((row, index) => {
      row.querySelector(".head").append(make("span", { class: "type" }, `in ${parameters[index].in}`));
      return row;
    }))];
}

function bodyOf(operation) {
  const body = operation.requestBody && resolve(operation.requestBody);
  if (!body) return [];
  return [make("h4", {}, "Body"), ...Object.entries(body.content).flatMap(([type, media]) => [
    make("p", { class: "soft" }, make("code", {}, type), " ", prose(body.description)),
    media.schema && (fields(media.schema) ?? make("p", { class: "soft" }, "no fields")),
    ...examples(media).map(([name, example]) => make("div", {},
      make("p", { class: "soft" }, prose(example.summary ?? name)), make("pre", {}, text(example.value)))),
  ])];
}

function response(status, raw) {
  const answer = resolve(raw);
  const parts = Object.entries(answer.content ?? {}).flatMap(([type, media]) => {
    const problem = type === "application/problem+json";
    const shown = examples(media);
    return [
      problem && shown.length > 0 && make("ul", { class: "codes" }, shown.map(([code, example]) =>
        make("li", {}, make("a", { href: `/problems/${code}` }, make("code", {}, code)), " ", prose(example.summary)))),
      !problem && make("p", { class: "soft" }, make("code", {}, type), " ", prose(resolve(media.schema).type === "string" ? resolve(media.schema).description : "")),
      !problem && media.schema && inner(media.schema) &&
        make("details", {}, make("summary", {}, typeOf(media.schema)), fields(media.schema)),
      ...(problem ? [] : shown.map(([, example]) =>
        make("details", {}, make("summary", {}, "example"), make("pre", {}, text(example.value))))),
    ];
  });
  const headers = Object.entries(answer.headers ?? {});
  // A list of codes only: they stand below with their titles.
  const about = /^(`[a-z-]+`(, )?)+$/.test(answer.description) ? "" : answer.description;
  return make("div", { class: "response" },
    make("b", { class: /^[123]/.test(status) ? "good" : "bad" }, status),
    make("div", {}, prose(about),
      headers.length > 0 && make("div", { class: "soft" }, "headers: ", headers.map(([name, header], index) =>
        [index ? ", " : "", make("span", { title: resolve(header).description ?? "" }, make("code", {}, name))])),
      parts));
}

function curl(method, path, operation) {
  const body = operation.requestBody && resolve(operation.requestBody).content["application/json"];
  const example = body && examples(body)[0]?.[1].value;
  const lines = [`curl ${method === "get" ? "" : `-X ${method.toUpperCase()} `}'${location.origin}${path}'`];
  if (operation.security?.length !== 0) lines.push(`-H "Authorization: Bearer $TOKEN"`);
  if (body) {
    lines.push(`-H 'Content-Type: application/json'`);
    lines.push(`-d '${JSON.stringify(example ?? {}).replaceAll("'", "'\\''")}'`);
  }
  return lines.join(" \\\n  ");
}

function operationSection({ id, method, path, operation, item }) {
  return make("section", { id },
    make("h3", {}, operation.summary ?? id),
    make("div", { class: "path" }, make("span", { class: `method ${method}` }, method.toUpperCase()), " ", path),
    operation.description && make("p", { class: "text" }, prose(operation.description)),
    parameterList(operation, item),
    bodyOf(operation),
    make("h4", {}, "Answers"),
    Object.entries(operation.responses).map(([status, answer]) => response(status, answer)),
    make("h4", {}, "By hand"),
    make("pre", {}, curl(method, path, operation)),
    tryIt({ method, path, operation, item }));
}

// ------------------------------------------------------------------------------------------------------------- streams

function streams() {
  return Object.entries(api[STREAMS].operations).map(([id, operation]) => {
    const channel = resolve(operation.channel);
    const messages = operation.messages.map(resolve);
    const kafka = channel.servers?.some((server) => resolve(server).protocol === "kafka");
    return { id, path: channel.address, kafka, label: kafka ? "KAFKA" : "SSE",
      operation: { ...operation, summary: operation.title, about: channel.description, messages } };
  });
}

/** A line to paste that shows the stream. */
function listenByHand(path, kafka) {
  return (kafka
    ? [`kcat -C -b 127.0.0.1:9092 -t ${path} -o beginning -e`, `-X isolation.level=read_committed -f '%h\\n%s\\n\\n'`]
    : [`curl -N '${location.origin}${path}?cursor=start'`, `-H "Authorization: Bearer $TOKEN"`, `-H 'Accept: text/event-stream'`]
  ).join(" \\\n  ");
}

function streamSection({ id, path, kafka, label, operation }) {
  const query = operation.bindings?.http?.query;
  return make("section", { id },
    make("h3", {}, operation.summary),
    make("div", { class: "path" }, make("span", { class: "method get" }, label), " ", path),
    make("p", { class: "text" }, prose(operation.about)),
    make("p", { class: "text" }, prose(operation.description)),
    query && [make("h4", {}, "Parameters in the query"), fields(query)],
    make("h4", {}, "Events of the stream"),
    operation.messages.map(messageRow),
    make("h4", {}, "By hand"),
    make("pre", {}, listenByHand(path, kafka)));
}

function messageRow(message) {
  const row = make("details", { class: "message" },
    make("summary", {}, make("code", {}, message.title ?? message.name)), make("p", {}, prose(message.summary)));
  // Made when it is opened: there are many, and most never are.
  row.addEventListener("toggle", () => row.append(
    make("p", { class: "soft" }, "Beside the data"), fields(message.headers),
    make("p", { class: "soft" }, "Data, ", make("code", {}, message.contentType)), fields(message.payload)), { once: true });
  return row;
}

// -------------------------------------------------------------------------------------------------------------- try it

function tryIt({ method, path, operation, item }) {
  const form = make("details", { class: "try" }, make("summary", {}, "Try it"));
  // Made when it is opened: most never are.
  form.addEventListener("toggle", () => form.children.length === 1 && form.append(tryForm(method, path, operation, item)), { once: true });
  return form;
}

function tryForm(method, path, operation, item) {
  const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])].map(resolve);
  const inputs = parameters.map((parameter) => [parameter, make("input", { spellcheck: "false", autocomplete: "off" })]);
  const media = operation.requestBody && resolve(operation.requestBody).content["application/json"];
  const body = media && make("textarea", { spellcheck: "false", "aria-label": "Body" });
  if (body) body.value = text(examples(media)[0]?.[1].value ?? {});
  const answer = make("pre", { hidden: true });
  const send = make("button", { type: "button", onclick: () => request(method, path, inputs, body, answer) }, "Send");
  return make("div", {},
    inputs.map(([parameter, input]) => make("label", {}, `${parameter.name} (${parameter.in})`, input)),
    body, make("p", {}, send), answer);
}

async function request(method, path, inputs, body, answer) {
  const query = new URLSearchParams();
  const headers = { Accept: "application/json" };
  for (const [parameter, { value }] of inputs) {
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(value.trim()));
    else if (value === "") continue;
    else if (parameter.in === "query") query.append(parameter.name, value);
    else headers[parameter.name] = value;
  }
  const token = document.getElementById("token").value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  answer.hidden = false;
  answer.textContent = "…";
  try {
    const asked = [...query].length ? `${path}?${query}` : path;
    const got = await fetch(asked, { method: method.toUpperCase(), headers, body: body?.value });
    const shown = [...got.headers].filter(([name]) => /^(etag|location|convoke-|content-type|retry-after)/.test(name));
    const raw = await got.text();
    let pretty = raw;
    try { pretty = JSON.stringify(JSON.parse(raw), null, 2); } catch { /* shown as it came */ }
    answer.textContent = [`${got.status} ${got.statusText}`, ...shown.map((pair) => pair.join(": ")), "", pretty].join("\n");
  } catch (error) {
    answer.textContent = `No answer: ${error.message}`;
  }
}

// ---------------------------------------------------------------------------------------------------------------- page

function operations() {
  return Object.entries(api.paths).flatMap(([path, item]) =>
    ["get", "post", "put", "patch", "delete"].filter((method) => item[method]).map((method) => {
      const operation = item[method];
      return { id: operation.operationId, method, path, operation, item, tag: operation.tags?.[0] ?? "" };
    }));
}

function groups(all) {
  const names = [...new Set([...(api.tags ?? []).map((tag) => tag.name), ...all.map((one) => one.tag)])];
  return names.map((name) => ({
    name,
    about: api.tags?.find((tag) => tag.name === name)?.description,
    operations: all.filter((one) => one.tag === name),
  })).filter((group) => group.operations.length);
}

function layOut() {
  const all = operations();
  const main = document.getElementById("top");
  const contents = document.getElementById("contents");
  document.title = api.info.title;
  document.getElementById("version").textContent = api.info.version;
  main.replaceChildren(make("h1", {}, api.info.title), make("p", { class: "text" }, prose(api.info.description)),
    make("p", { class: "soft" }, "OpenAPI ", api.openapi, ": ", make("a", { href: "/openapi.json" }, "/openapi.json"),
      "; AsyncAPI ", api[STREAMS].asyncapi, ": ", make("a", { href: "/asyncapi.json" }, "/asyncapi.json")));
  for (const group of groups(all)) {
    const heading = make("h2", {}, group.name);
    main.append(heading, make("p", { class: "text" }, prose(group.about)), ...group.operations.map(operationSection));
    contents.append(make("h2", {}, group.name), ...group.operations.map(({ id, method, operation }) =>
      make("a", { href: `#${id}`, "data-for": id },
        make("span", { class: `method ${method}` }, method.toUpperCase()), make("span", {}, operation.summary ?? id))));
  }
  const flows = streams();
  const { title, description } = api[STREAMS].info;
  const name = title.replace(/^.*: /, "");
  main.append(make("h2", {}, name), make("p", { class: "text" }, prose(description)), ...flows.map(streamSection));
  contents.append(make("h2", {}, name), ...flows.map(({ id, label, operation }) =>
    make("a", { href: `#${id}`, "data-for": id },
      make("span", { class: "method get" }, label), make("span", {}, operation.summary))));
  listen([...all, ...flows]);
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

/** Shows what holds every word of the search, in its name, path, text, fields or refusals. */
function listen(all) {
  const search = document.getElementById("search");
  const words = new Map(all.map((one) => [one.id, `${one.id} ${one.path} ${JSON.stringify(one.operation)}`.toLowerCase()]));
  search.addEventListener("input", () => {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const [id, held] of words) {
      const hidden = !wanted.every((word) => held.includes(word));
      document.getElementById(id).hidden = hidden;
      document.querySelector(`[data-for="${id}"]`).hidden = hidden;
    }
    for (const heading of document.querySelectorAll("main > h2, #contents > h2")) {
      const under = [];
      for (let next = heading.nextElementSibling; next && next.tagName !== "H2"; next = next.nextElementSibling) under.push(next);
      const entries = under.filter((element) => element.matches("section, a"));
      const hidden = entries.every((element) => element.hidden);
      heading.hidden = hidden;
      under.filter((element) => element.matches("p")).forEach((about) => { about.hidden = hidden; });
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/INPUT|TEXTAREA/.test(document.activeElement.tagName)) {
      event.preventDefault();
      search.focus();
    }
  });
}

async function load(path) {
  const got = await fetch(path);
  if (!got.ok) throw new Error(`the server answered ${got.status}`);
  return got.json();
}

/** The description with its references leading to where it hangs. */
function hung(node) {
  if (Array.isArray(node)) return node.map(hung);
  if (typeof node !== "object" || node === null) return node;
  return Object.fromEntries(Object.entries(node).map(([name, value]) =>
    [name, name === "$ref" ? value.replace("#/", `#/${STREAMS}/`) : hung(value)]));
}

try {
  const [requests, flows] = await Promise.all([load("/openapi.json"), load("/asyncapi.json")]);
  api = { ...requests, [STREAMS]: hung(flows) };
  layOut();
} catch (error) {
  document.getElementById("state").textContent = `The description could not be loaded: ${error.message}. Load the page again.`;
}
