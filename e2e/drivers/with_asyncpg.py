"""The checks by asyncpg: binary throughout, prepared statements by its own cache, portals with row limits."""
import asyncio, io, json, os, pathlib, ssl
import asyncpg

here = pathlib.Path(__file__).parent
checks = json.loads((here / "checks.json").read_text())


def say(name, *what):
    print(json.dumps([name, *map(repr, what)], ensure_ascii=False), flush=True)


async def run(name, work):
    try:
        say(name, await work())
    except asyncpg.PostgresError as error:
        say(name, "error", error.sqlstate, error.as_dict().get("message"), error.as_dict().get("position"))
    except asyncpg.InterfaceError as error:
        say(name, "error", type(error).__name__, str(error))


async def connect():
    trust = ssl.create_default_context(cafile=os.environ["CHECKS_CA"])
    given = {key: os.environ["CHECKS_" + key.upper()] for key in ("host", "port", "user", "password", "database")}
    return await asyncpg.connect(ssl=trust, **given)


async def main():
    conn = await connect()
    for kind, value in checks["values"]:
        await run(f"value {kind} {value}", lambda: conn.fetch(f"select '{value}'::{kind} as v, array['{value}'::{kind}] as a, null::{kind} as n".replace("\\x", "\\x")))
    for statement in checks["statements"]:
        await run(statement, lambda: conn.fetch(statement))
        await run("again: " + statement, lambda: conn.execute(statement))

    async def batch():
        await conn.executemany("insert into d_bulk values ($1, $2, $3)", [(i, f"n{i}", bytes([i % 256])) for i in range(50)])
        return await conn.fetchrow("select count(*), sum(id) from d_bulk")

    async def batch_that_fails():
        try:
            await conn.executemany("insert into d_kinds values ($1, 'x')", [(100,), (100,), (101,)])
        except asyncpg.UniqueViolationError as error:
            return error.detail, await conn.fetchval("select count(*) from d_kinds where kind in (100, 101)")

    async def rolled_back():
        transaction = conn.transaction(isolation="serializable")
        await transaction.start()
        level = await conn.fetchval("show transaction_isolation")
        await conn.execute("insert into d_kinds values (300, 'x')")
        await transaction.rollback()
        return level, await conn.fetchval("select count(*) from d_kinds where kind = 300")

    async def savepoints():
        async with conn.transaction():
            await conn.execute("insert into d_kinds values (200, 'kept')")
            try:
                async with conn.transaction():
                    await conn.execute("insert into d_kinds values (201, 'gone')")
                    await conn.execute("insert into d_kinds values (200, 'x')")
            except asyncpg.UniqueViolationError as error:
                within = error.constraint_name
        return within, await conn.fetch("select kind from d_kinds where kind in (200, 201)")

    async def cursor():
        async with conn.transaction():
            cur = await conn.cursor("select i from generate_series(1, 50) i")
            return await cur.fetch(3), await cur.forward(10), await cur.fetchrow(), await cur.fetch(100)

    async def cursor_given_up():
        async with conn.transaction():
            async for row in conn.cursor("select i from generate_series(1, 50) i", prefetch=2):
                break
        return row, await conn.fetchval("select 7")

    async def copy_in():
        tag = await conn.copy_records_to_table("d_bulk", records=[(i, "r", b"\0") for i in range(2500)])
        tag2 = await conn.copy_to_table("d_bulk", source=io.BytesIO(b"1\tone\t\\\\x00\n" * 500))
        return tag, tag2, await conn.fetchrow("select count(*), sum(length(name)), sum(length(raw)) from d_bulk")

    async def copy_out():
        got = []
        for form in ("text", "csv", "binary"):
            out = io.BytesIO()
            got.append((await conn.copy_from_query("select * from d_items order by id", output=out, format=form), out.getvalue()))
        return got

    async def copy_that_fails():
        await conn.copy_to_table("d_bulk", columns=["id"], source=io.BytesIO(b"1\nx\n"))

    async def copy_given_up():
        async def half():
            yield b"1\n"
            raise ValueError("given up")

        try:
            await conn.copy_to_table("d_bulk", columns=["id"], source=half())
        except ValueError as error:
            return str(error), await conn.fetchval("select 7")

    async def notified():
        got = asyncio.get_running_loop().create_future()
        await conn.add_listener("d_words", lambda c, pid, channel, payload: got.set_result((channel, payload)))
        other = await connect()
        await other.execute("notify d_words, 'hello'")
        await other.close()
        return await asyncio.wait_for(got, 60)

    async def cancelled():
        slow = asyncio.ensure_future(conn.fetch("select pg_sleep(300)"))
        other = await connect()
        while not await other.fetch("select 1 from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'", conn.get_server_pid()):
            pass
        await other.close()
        slow.cancel()
        try:
            await slow
        except asyncio.CancelledError:
            return "cancelled", await conn.fetchval("select 7")

    async def prepared():
        text = "select name from d_items where id = $1"
        got = [await conn.fetchval(text, i % 5) for i in range(20)]
        # Else it would ask for what is gone.
        await conn.reload_schema_state()
        await conn.execute("discard all")
        return got, await conn.fetchval(text, 2)

    async def prepared_then_altered():
        await conn.execute("create table d_altered as select 1 as id")
        got = [await conn.fetchrow("select * from d_altered") for _ in range(6)]
        await conn.execute("alter table d_altered add column more text default 'more'")
        return got, await conn.fetchrow("select * from d_altered"), await conn.fetchrow("select * from d_altered")

    async def described():
        statement = await conn.prepare("select $1::int + 1 as n, $2::text[] as t, name from d_items")
        return statement.get_parameters(), statement.get_attributes(), await statement.fetch(4, ["x", None])

    async def timed_out():
        try:
            await conn.fetch("select pg_sleep(300)", timeout=0.5)
        except asyncio.TimeoutError:
            return "timed out", await conn.fetchval("select 7")

    works = locals()
    for name in [*checks["steps"], "described", "timed_out"]:
        await run(name, works[name])
    await conn.reset()
    await run("after it all", lambda: conn.fetchval("select 1"))
    await conn.close()


asyncio.run(main())
