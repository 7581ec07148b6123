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

    async def cursor():
        async with conn.transaction():
            return [row[0] async for row in conn.cursor("select i from generate_series(1, 200) i", prefetch=17)]

    async def cursor_by_hand():
        async with conn.transaction():
            cur = await conn.cursor("select i from generate_series(1, 50) i")
            return await cur.fetch(3), await cur.forward(10), await cur.fetchrow(), await cur.fetch(100)

    async def described():
        statement = await conn.prepare("select $1::int + 1 as n, $2::text[] as t, name from d_items")
        return statement.get_parameters(), statement.get_attributes(), await statement.fetch(4, ["x", None])

    async def many():
        await conn.executemany("insert into d_bulk values ($1, $2, $3)", [(i, f"n{i}", bytes([i % 256])) for i in range(500)])
        return await conn.fetchrow("select count(*), sum(id) from d_bulk")

    async def copies():
        out = io.BytesIO()
        tag = await conn.copy_from_query("select * from d_items order by id", output=out, format="csv")
        tag2 = await conn.copy_records_to_table("d_bulk", records=[(i, "r", b"\0") for i in range(3000)])
        tag3 = await conn.copy_to_table("d_bulk", source=io.BytesIO(b"1\tone\t\\\\x00\n" * 500))
        return out.getvalue(), tag, tag2, tag3

    async def notified():
        got = asyncio.get_running_loop().create_future()
        await conn.add_listener("d_words", lambda c, pid, channel, payload: got.set_result((channel, payload)))
        other = await connect()
        await other.execute("notify d_words, 'hello'")
        await other.close()
        return await asyncio.wait_for(got, 10)

    async def timed_out():
        try:
            await conn.fetch("select pg_sleep(30)", timeout=0.5)
        except asyncio.TimeoutError:
            return "timed out", await conn.fetchval("select 7")

    async def rolled_back():
        try:
            async with conn.transaction(isolation="serializable"):
                await conn.execute("insert into d_kinds values (300, 'x')")
                async with conn.transaction():
                    await conn.execute("insert into d_kinds values (300, 'x')")
        except asyncpg.UniqueViolationError as error:
            return error.constraint_name, await conn.fetchval("select count(*) from d_kinds where kind = 300")

    for work in (cursor, cursor_by_hand, described, many, copies, notified, timed_out, rolled_back):
        await run(work.__name__, work)
    await conn.reset()
    await run("after it all", lambda: conn.fetchval("select 1"))
    await conn.close()


asyncio.run(main())
