//! COPY in both directions, within strings and pipelines, given up and failed.

use super::Play;
use sallyport_proxy::postgres::frame::put_cstr;

/// What is played.
pub const PLAYS: &[(&str, Play)] = &[
    ("COPY to the client", |client| {
        let options = [
            "",
            " (format csv, header)",
            " (format binary)",
            " (format csv, delimiter '|', quote '''', force_quote *)",
        ];
        let mut got = Vec::new();
        for options in options {
            let sql = format!("copy (select * from t order by id) to stdout{options}");
            got.extend(client.query(&sql));
            client.parse("", &sql).bind("", "", &[], 0).execute("", 0).sync();
            got.extend(client.ready());
        }
        got.extend(client.query("copy nosuch to stdout"));
        got.extend(client.query("copy (select 1/(5 - id) from t order by id) to stdout"));
        got
    }),
    ("COPY from the client, in pieces of any size", |client| {
        let mut got = Vec::new();
        let forms: [(&str, &[u8]); 3] = [
            ("", b"1\tone\n2\t\\N\n\\.\n"),
            (" (format csv)", b"3,\"th,ree\"\r\n4,\n"),
            (
                " (format binary)",
                b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x04\0\0\0\x05\0\0\0\x04five\xff\xff",
            ),
        ];
        for (options, data) in forms {
            for piece in [1, 3, 1_000] {
                client
                    .put(b'Q', |out| put_cstr(out, &format!("copy u from stdin{options}")))
                    .send();
                for piece in data.chunks(piece) {
                    client.put(b'd', |out| out.extend(piece));
                }
                client.put(b'c', |_| {}).send();
                got.extend(client.ready());
            }
        }
        got.extend(client.query("select * from u order by id, name"));
        got
    }),
    ("COPY from the client by the extended protocol", |client| {
        client
            .parse("", "copy u from stdin")
            .bind("", "", &[], 0)
            .execute("", 0)
            .sync();
        let mut got = client.some(3);
        client.put(b'd', |out| out.extend(b"1\tone\n")).put(b'c', |_| {}).sync();
        got.extend(client.ready());
        got.extend(client.query("select * from u"));
        got
    }),
    ("COPY that the client gives up", |client| {
        client.put(b'Q', |out| put_cstr(out, "copy u from stdin")).send();
        client
            .put(b'd', |out| out.extend(b"1\tone\n"))
            .put(b'f', |out| put_cstr(out, "changed my mind"))
            .send();
        let mut got = client.ready();
        got.extend(client.query("select count(*) from u"));
        got
    }),
    ("COPY that fails in the middle", |client| {
        client.put(b'Q', |out| put_cstr(out, "copy u from stdin")).send();
        client.put(b'd', |out| out.extend(b"1\tone\nx\ttwo\n"));
        for _ in 0..200 {
            client.put(b'd', |out| {
                out.extend([b'3', b'\t'].iter().chain(&[b'x'; 2_000]).chain(b"\n"))
            });
        }
        client.put(b'c', |_| {}).send();
        let mut got = client.ready();
        got.extend(client.query("select count(*) from u"));
        got
    }),
    ("COPY within a Query string", |client| {
        client
            .put(b'Q', |out| {
                put_cstr(out, "select 1; copy u from stdin; copy u to stdout; select 2")
            })
            .send();
        client.put(b'd', |out| out.extend(b"1\tone\n")).put(b'c', |_| {}).send();
        client.ready()
    }),
];
