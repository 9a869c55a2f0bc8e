// The load of src/load.rs on emmett: node emmett.mjs URL AT_ONCE POOL WARM_UP_SECONDS SECONDS. Prints what came of it as JSON.
import { randomUUID } from 'node:crypto';
import { getPostgreSQLEventStore } from '@event-driven-io/emmett-postgresql';
import pg from 'pg';

const [url, ...numbers] = process.argv.slice(2);
const [atOnce, poolSize, warmUp, measure] = numbers.map(Number);
const streamsEach = 8;

const pool = new pg.Pool({ connectionString: url, max: poolSize });
const store = getPostgreSQLEventStore(url, { connectionOptions: { pool }, schema: { autoMigration: 'None' } });
await store.schema.migrate();

const append = async (stream, after) => {
  const events = [{ type: 'HandRaised', data: { identity: 'person-100' } }];
  const options = { expectedStreamVersion: after ?? 'STREAM_DOES_NOT_EXIST' };
  return (await store.appendToStream(stream, events, options)).nextExpectedStreamVersion;
};

const enter = async () => {
  const streams = [];
  for (let number = 0; number < streamsEach; number += 1) {
    const name = `room-${randomUUID()}`;
    streams.push({ name, after: await append(name) });
  }
  return streams;
};

const times = [];
const call = async (streams, begin, end) => {
  for (let turn = 0; ; turn += 1) {
    const stream = streams[turn % streamsEach];
    const sent = performance.now();
    stream.after = await append(stream.name, stream.after);
    const now = performance.now();
    if (now > end) return;
    if (sent >= begin) times.push(now - sent);
  }
};

const callers = await Promise.all(Array.from({ length: atOnce }, enter));
const begin = performance.now() + warmUp * 1000;
await Promise.all(callers.map((streams) => call(streams, begin, begin + measure * 1000)));
times.sort((a, b) => a - b);
const at = (quantile) => times[Math.min(times.length - 1, Math.floor(times.length * quantile))];
console.log(JSON.stringify({ rate: times.length / measure, p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1) }));
await store.close();
await pool.end();
