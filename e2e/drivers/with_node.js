// The checks by node-postgres: text results, unnamed and named statements, cursors by row-limited portals, COPY as streams.
const fs = require("fs");
const path = require("path");
const { pipeline } = require("stream/promises");
const { Readable } = require("stream");
// The modules stand beside the other drivers, not beside this file.
const driver = (name) => require(path.join(process.env.SALLYPORT_DRIVERS, "node_modules", name));
const { Client } = driver("pg");
const Cursor = driver("pg-cursor");
const copy = driver("pg-copy-streams");

const checks = JSON.parse(fs.readFileSync(path.join(__dirname, "checks.json"), "utf8"));

const say = (name, ...what) => console.log(JSON.stringify([name, ...what]));

async function run(name, work) {
  try {
    say(name, await work());
  } catch (error) {
    if (!error.severity) throw error;
    say(name, "error", error.severity, error.code, error.message, error.detail, error.position, error.constraint);
  }
}

async function connect() {
  const given = (name) => process.env[`CHECKS_${name}`];
  const client = new Client({
    host: given("HOST"),
    port: Number(given("PORT")),
    user: given("USER"),
    password: given("PASSWORD"),
    database: given("DATABASE"),
    ssl: { ca: fs.readFileSync(given("CA")) },
  });
  client.on("notice", (notice) => say("notice", notice.severity, notice.code, notice.message));
  await client.connect();
  return client;
}

// What a result is, without what differs from one database to another.
function told(result) {
  if (Array.isArray(result)) return result.map(told);
  const type = (field) => (field.dataTypeID < 16384 ? field.dataTypeID : "of users");
  const fields = result.fields.map((field) => [field.name, type(field), field.dataTypeSize, field.dataTypeModifier, field.format]);
  return [result.command, result.rowCount, fields, result.rows];
}

async function main() {
  const client = await connect();
  const query = async (...args) => told(await client.query(...args));
  for (const [type, value] of checks.values) {
    const text = `select $1::${type} as v, array[$1::${type}] as a, null::${type} as n`;
    await run(`value ${type} ${value}`, () => query({ text, values: [value], rowMode: "array" }));
  }
  for (const statement of checks.statements) {
    await run(statement, () => query({ text: statement, rowMode: "array" }));
    await run(`again: ${statement}`, () => query({ text: statement, values: [], queryMode: "extended" }));
  }

  // Each asks for everything at once, and all are answered before the next.
  const together = (...texts) => Promise.allSettled(texts.map((text) => client.query(text)));
  const refusal = (error) => {
    if (!error.severity) throw error;
    return [error.code, error.message, error.detail, error.constraint, error.table];
  };
  const count = async (where) => (await client.query(`select count(*) from d_kinds where ${where}`)).rows;

  const steps = {
    async batch() {
      const each = Array.from({ length: 50 }, (_, i) => client.query("insert into d_bulk (id, name) values ($1, $2) returning id * 2 as n", [i, `n${i}`]));
      return (await Promise.all(each)).map((result) => result.rows[0].n);
    },
    async batch_that_fails() {
      const insert = (kind) => `insert into d_kinds values (${kind}, 'x')`;
      const ended = await together(insert(100), insert(100), insert(101));
      const whole = await client.query([102, 102].map(insert).join(";")).catch(refusal);
      return [ended.map((end) => end.value?.rowCount ?? refusal(end.reason)), whole, await count("kind between 100 and 102")];
    },
    async rolled_back() {
      await client.query("begin isolation level serializable");
      const level = (await client.query("show transaction_isolation")).rows;
      await client.query("insert into d_kinds values (300, 'x')");
      await client.query("rollback");
      return [level, await count("kind = 300")];
    },
    async savepoints() {
      await client.query("begin");
      await client.query("insert into d_kinds values (200, 'kept')");
      await client.query("savepoint a");
      const refused = await client.query("insert into d_kinds values (200, 'x')").catch(refusal);
      const aborted = await client.query("select 1").catch(refusal);
      await client.query("rollback to a");
      await client.query("commit");
      return [refused, aborted, await count("kind = 200")];
    },
    async cursor() {
      await client.query("begin");
      const cursor = client.query(new Cursor("select i from generate_series(1, 50) i"));
      const parts = [await cursor.read(3), await cursor.read(40), await cursor.read(100)];
      await cursor.close();
      await client.query("commit");
      return parts.map((rows) => rows.map((row) => row.i));
    },
    async cursor_given_up() {
      const cursor = client.query(new Cursor("select i from generate_series(1, 50) i"));
      const rows = await cursor.read(2);
      await cursor.close();
      return [rows, (await client.query("select 7 as n")).rows];
    },
    async copy_in() {
      const lines = Array.from({ length: 3000 }, (_, i) => `${i}\tn${i}\t\\\\x00ff\n`);
      await pipeline(Readable.from(lines), client.query(copy.from("copy d_bulk from stdin")));
      return query("select count(*), sum(id) from d_bulk");
    },
    async copy_out() {
      const got = [];
      for (const form of ["text", "csv", "binary"]) {
        const parts = [];
        const text = `copy (select * from d_bulk order by id, name, raw limit 1000) to stdout (format ${form})`;
        for await (const part of client.query(copy.to(text))) parts.push(part);
        got.push(Buffer.concat(parts).toString("latin1"));
      }
      return got;
    },
    async copy_that_fails() {
      await pipeline(Readable.from(["1\nx\n"]), client.query(copy.from("copy d_bulk (id) from stdin")));
    },
    async copy_given_up() {
      const half = client.query(copy.from("copy d_bulk (id) from stdin"));
      const ended = new Promise((resolve) => half.once("error", (error) => resolve(error.message)));
      half.write("1\n");
      half.destroy(new Error("given up"));
      return [await ended, (await client.query("select 7 as n")).rows];
    },
    async notified() {
      const heard = new Promise((resolve) => client.once("notification", (got) => resolve([got.channel, got.payload])));
      await client.query("listen d_words");
      const other = await connect();
      await other.query("notify d_words, 'hello'");
      await other.end();
      return heard;
    },
    async cancelled() {
      const other = await connect();
      const sleeps = async () => {
        const text = "select 1 from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'";
        return (await other.query(text, [client.processID])).rowCount === 1;
      };
      const slow = client.query("select pg_sleep(300)").catch(refusal);
      while (!(await sleeps()));
      // A connection of its own, which sends nothing but a CancelRequest.
      new Client(client.connectionParameters).cancel(client, client.activeQuery);
      const got = [await slow, (await client.query("select 7 as n")).rows];
      await other.end();
      return got;
    },
    async prepared() {
      const named = { name: "by-kind", text: "select name from d_items where kind = $1 order by id" };
      const got = [];
      for (let i = 0; i < 20; i++) got.push((await client.query({ ...named, values: [i % 3] })).rows);
      await client.query("deallocate all");
      return [got, await client.query({ ...named, values: [1] }).catch(refusal)];
    },
    async prepared_then_altered() {
      const named = { name: "all-of-it", text: "select * from d_altered" };
      await client.query("create table d_altered as select 1 as id");
      const got = [];
      for (let i = 0; i < 6; i++) got.push((await client.query(named)).rows);
      await client.query("alter table d_altered add column more text default 'more'");
      return [got, await client.query(named).catch(refusal), (await client.query(named.text)).rows];
    },
  };
  const own = {
    async several() {
      return query("select 1 as a; select 'x' as b; insert into d_kinds values (70, 'seventy')");
    },
    async binary() {
      return query({ text: "select id, name, price, at from d_items order by id", binary: true, rowMode: "array" });
    },
  };
  for (const name of Object.keys(checks.steps)) await run(name, steps[name]);
  for (const [name, work] of Object.entries(own)) await run(name, work);
  await run("after it all", () => query("select 1"));
  await client.end();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
