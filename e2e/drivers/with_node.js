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

  const works = {
    async several() {
      return query("select 1 as a; select 'x' as b; insert into d_kinds values (70, 'seventy')");
    },
    async named() {
      const one = await query({ name: "by-kind", text: "select name from d_items where kind = $1 order by id", values: [1] });
      return [one, await query({ name: "by-kind", text: "select name from d_items where kind = $1 order by id", values: [2] })];
    },
    async binary() {
      return query({ text: "select id, name, price, at from d_items order by id", binary: true, rowMode: "array" });
    },
    async cursor() {
      await client.query("begin");
      const cursor = client.query(new Cursor("select i from generate_series(1, 50) i"));
      const parts = [await cursor.read(3), await cursor.read(40), await cursor.read(100)];
      await cursor.close();
      await client.query("commit");
      return parts.map((rows) => rows.map((row) => row.i));
    },
    async given_up_cursor() {
      const cursor = client.query(new Cursor("select i from generate_series(1, 50) i"));
      const rows = await cursor.read(2);
      await cursor.close();
      return [rows, (await client.query("select 7 as n")).rows];
    },
    async copies() {
      const lines = Array.from({ length: 3000 }, (_, i) => `${i}\tn${i}\t\\\\x00ff\n`);
      await pipeline(Readable.from(lines), client.query(copy.from("copy d_bulk from stdin")));
      const parts = [];
      for await (const part of client.query(copy.to("copy (select * from d_bulk order by id limit 1000) to stdout (format csv)"))) parts.push(part);
      return [await query("select count(*), sum(id) from d_bulk"), Buffer.concat(parts).toString()];
    },
    async pipelined() {
      const each = Array.from({ length: 40 }, (_, i) => client.query("select $1::int * 2 as n", [i]));
      return (await Promise.all(each)).map((result) => result.rows[0].n);
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
      const slow = client.query("select pg_sleep(30)").catch((error) => [error.code, error.message]);
      while (!(await sleeps()));
      // A connection of its own, which sends nothing but a CancelRequest.
      new Client(client.connectionParameters).cancel(client, client.activeQuery);
      const got = [await slow, (await client.query("select 7 as n")).rows];
      await other.end();
      return got;
    },
    async rolled_back() {
      await client.query("begin isolation level serializable");
      await client.query("insert into d_kinds values (300, 'x')");
      await client.query("savepoint a");
      const code = await client.query("insert into d_kinds values (300, 'x')").catch((error) => [error.code, error.constraint, error.table]);
      await client.query("rollback to a");
      await client.query("rollback");
      return [code, await query("select count(*) from d_kinds where kind = 300")];
    },
  };
  for (const [name, work] of Object.entries(works)) await run(name, work);
  await run("after it all", () => query("select 1"));
  await client.end();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
