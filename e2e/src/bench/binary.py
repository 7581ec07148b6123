"""Results in binary form by Bind, as drivers ask for them and pgbench does not. Prints what it did as pgbench does."""

import ctypes
import random
import sys
import threading
import time

conninfo, sql, last, clients, seconds = sys.argv[1:]
pq = ctypes.CDLL("libpq.so.5")
for function in ("PQconnectdb", "PQprepare", "PQexecPrepared"):
    getattr(pq, function).restype = ctypes.c_void_p
pq.PQerrorMessage.restype = ctypes.c_char_p
TUPLES_OK, BINARY = 2, 1
done, wrong = [], []


def client():
    connection = ctypes.c_void_p(pq.PQconnectdb(conninfo.encode()))
    pq.PQclear(ctypes.c_void_p(pq.PQprepare(connection, b"s", sql.encode(), 0, None)))
    count, end = 0, time.monotonic() + float(seconds)
    while time.monotonic() < end and not wrong:
        first = (ctypes.c_char_p * 1)(str(random.randint(1, int(last))).encode())
        result = ctypes.c_void_p(pq.PQexecPrepared(connection, b"s", 1, first, None, None, BINARY))
        if pq.PQresultStatus(result) != TUPLES_OK or pq.PQfformat(result, 0) != BINARY or pq.PQntuples(result) == 0:
            wrong.append(pq.PQerrorMessage(connection).decode())
        pq.PQclear(result)
        count += 1
    pq.PQfinish(connection)
    done.append(count)


threads = [threading.Thread(target=client) for _ in range(int(clients))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if wrong:
    sys.exit(f"no rows in binary form: {wrong[0]}")
print(f"number of transactions actually processed: {sum(done)}")
print(f"tps = {sum(done) / float(seconds)}")
