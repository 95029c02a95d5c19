"""Request lines as clients write them: what the fuzz tests start from."""

from typing import Final

LINES: Final = tuple(
    line.encode()
    for line in (
        '{"cmd":"PUSH","queue":"emails","data":{"to":"a@b","n":[1,2.5,-3e8]}}',
        '{"cmd":"PUSH","queue":"q","data":"\\ud83d\\ude00 \\u00e9 \\"x\\" \\\\","rid":7}',
        '{"cmd":"PUSH","queue":"é€😀","data":"é€😀","priority":-5,"delay":10,"rid":"é"}',
        '{"cmd":"PUSH","queue":"q","data":null,"priority":null,"delay":null,"run_at":null}',
        (
            '{"cmd":"PUSH","queue":"q","data":[true,false,null],"run_at":1760000000000,'
            '"max_attempts":3,"backoff":250,"jitter":true}'
        ),
        '{ "rid" : 1.50 , "data" : [ ] , "queue" : "q" , "cmd" : "push" }',
        (
            '{"cmd":"PUSHB","queue":"q","jobs":[{"data":1},{"data":{"i":2},"priority":3},'
            '{"data":"x","delay":5,"jitter":false},{"data":[[]],"run_at":9,"backoff":1}]}'
        ),
        '{"cmd":"PUSHB","queue":"q","jobs":[{"priority":1,"data":0,"priority":2}]}',
        '{"cmd":"PUSHB","queue":"q","jobs":[],"rid":"batch-1"}',
        (
            '{"cmd":"PUSHB","queue":"q","priority":4,"delay":5,"run_at":null,"jobs":[{"data":1}],'
            '"max_attempts":3,"backoff":250,"jitter":true}'
        ),
        (
            '{"cmd":"PUSH","queue":"q","data":1,"unique_key":"user:7","unique":"start",'
            '"on_conflict":"reject","req_key":"é"}'
        ),
        (
            '{"cmd":"PUSH","queue":"q","data":1,"ttl":5000,"on_expire":"dead","timeout":1000,'
            '"keep_result":3600000}'
        ),
        (
            '{"cmd":"PUSHB","queue":"q","ttl":9,"req_key":"r","on_conflict":"replace","jobs":['
            '{"data":1,"unique_key":"a","unique_for":7},{"data":2,"timeout":5}]}'
        ),
        '{"cmd":"PUSH","queue":"q","data":1,"depends_on":[1],"on_parent_failure":"run"}',
        (
            '{"cmd":"PUSHB","queue":"q","depends_on":[1,"1"],"jobs":[{"data":1},'
            '{"data":2,"depends_on":[],"on_parent_failure":null}]}'
        ),
        (
            '{"cmd":"PUSHF","jobs":[{"ref":"a","queue":"é","data":1,"priority":3},{"queue":"q",'
            '"data":[2],"depends_on":["a"],"on_parent_failure":"fail","keep_result":5}]}'
        ),
        '{"cmd":"PULL","queue":"q"}',
        '{"cmd":"PULL","queues":["a","é"],"order":"turns","timeout":0}',
        '{"cmd":"PULLB","queues":["q"],"count":3,"order":null,"queue":null}',
        (
            '{"cmd":"LIMIT","queue":"q","concurrency":10,"rate":{"jobs":100,"per":60000,'
            '"burst":20},"group":{"concurrency":1,"rate":{"jobs":1,"per":5}}}'
        ),
        '{"cmd":"LIMIT","queue":"q","concurrency":null,"rate":null,"group":null}',
        '{"cmd":"LIMIT","queue":"q"}',
        '{"cmd":"THROTTLE","queue":"q","group":"g","for":30000}',
        '{"cmd":"GROUPS","queue":"q","count":5,"after":"é"}',
        '{"cmd":"PUSH","queue":"q","data":1,"group":"é"}',
        '{"cmd":"PUSHB","queue":"q","group":"a","jobs":[{"data":1},{"data":2,"group":"b"}]}',
        '{"cmd":"PULL","queue":"q","timeout":0,"lease":30000,"rid":-1}',
        '{"cmd":"PULLB","queue":"q","count":50,"timeout":null,"lease":null}',
        '{"cmd":"ACK","id":1}',
        '{"cmd":"ACK","id":"17","attempt":2}',
        '{"cmd":"ACKB","ids":[1,2,3]}',
        '{"cmd":"ACKB","ids":[1,"2",{"id":3,"attempt":2},{"id":"4"}]}',
        '{"cmd":"ACK","id":1,"attempt":1,"result":{"n":[3]}}',
        '{"cmd":"ACKB","ids":[1,{"id":2,"result":"x"},{"id":3,"attempt":1,"result":null}]}',
        '{"cmd":"FAIL","id":1,"error":"why \\u0041","attempt":1}',
        '{"cmd":"FAILB","jobs":[{"id":1,"error":"why"},{"id":"2"},{"id":3,"attempt":1}]}',
        '{"cmd":"HEARTBEAT","ids":[1,{"id":2,"attempt":1}],"lease":30000}',
        '{"cmd":"HEARTBEAT","id":9,"attempt":4,"lease":1}',
        '{"cmd":"HEARTBEAT","ids":[1],"wait":20000}',
        '{"cmd":"PROGRESS","id":1,"attempt":2,"percent":40,"note":"é","lease":5}',
        '{"cmd":"CANCEL","ids":[1,"2"]}',
        '{"cmd":"PROMOTE","id":7}',
        '{"cmd":"JOBS","queue":"q","state":"dead","contains":"é","after":"i5"}',
        '{"cmd":"JOBS","order":"turn","queue":"q","count":9,"data_max":0}',
        '{"cmd":"BULK","do":"retry","queue":"q","dry":true,"after":null}',
        (
            '{"cmd":"CRON","name":"c","queue":"q","data":{"n":1},"schedule":"30 2 * * *",'
            '"tz":"Europe/Berlin","missed":"all","catchup":9,"limit":5,"priority":1}'
        ),
        '{"cmd":"CRON","name":"é","queue":"q","every":60000,"offset":5,"overlap":"allow"}',
        '{"cmd":"CRONLIST","count":2,"after":"a"}',
        '{"cmd":"CRONLIST","name":"c","runs":9}',
        '{"cmd":"CRONRUN","name":"c"}',
        '{"cmd":"CRONPAUSE","name":"c"}',
        '{"cmd":"CRONRESUME","name":"c"}',
        '{"cmd":"CRONDELETE","name":"c"}',
        '{"cmd":"SUBSCRIBE","kinds":["dead","failed"],"queues":["q","é"],"every":100}',
        '{"cmd":"WAIT","ids":[1,"2"],"timeout":5000}',
        '{"cmd":"WAIT","queue":"q","req_key":"r"}',
        '{"cmd":"GETJOB","queue":"q","req_key":"r"}',
        '{"cmd":"RELEASE","ids":[1,{"id":2,"attempt":1}],"delay":50}',
        '{"cmd":"FAIL","id":9,"retry":false,"delay":null}',
        '{"cmd":"STATS"}',
        '{"cmd":"STATS","queue":"q","new":{"field":[1,"\\u0000",{}]}}',
        '{"cmd":"QUEUES","rid":1e3}',
        '{"cmd":"GETJOB","id":9007199254740991}',
        '{"cmd":"PAUSE","queue":"q"}',
        '{"cmd":"RESUME","queue":"q"}',
        '{"cmd":"DRAIN","queue":"q"}',
        '{"cmd":"DEAD","queue":"q","count":100,"after":5}',
        '{"cmd":"RETRYDEAD","queue":"q","id":5}',
        '{"cmd":"PURGEDEAD","id":"5"}',
        '{"cmd":"PING"}',
        '{"cmd":"HELLO","client":"python 1.0"}',
        '{"cmd":"HELLO","client":null,"token":"mq_1"}',
        '{"cmd":"AUTH","token":"mq_1"}',
    )
)

VALUES: Final = tuple(
    value.encode()
    for value in (
        *(
            "true",
            "false",
            "null",
            "[]",
            "{}",
            "[[]]",
            '{"a":1}',
            '{"":""}',
            "[1,2]",
            "{ }",
        ),
        *("0", "-0", "1", "-1", "1.0", "1e2", "1E+2", "-0.0", "1e400", "7.5e-3", "9" * 40),
        *("2147483647", "2147483648", "-2147483648", "-2147483649", "9007199254740991"),
        *("9007199254740992", "-9007199254740991", "18446744073709551616", "9" * 4301),
        *('"9007199254740991"', '"9007199254740992"', '"007"', '"1\\n"', '"-1"', '"1.0"'),
        *('""', '"x"', '"é"', '"\\u0041"', '"\\ud83d\\ude00"', '"\\u0085"', '"\\\\ud800"'),
        *('[{"id":1,"id":"2"}]', '[{"data":1},{"data":[],"priority":2}]', '[{"id":"x"}]'),
        *('[1,"2",{"id":3}]', '[{"data":1},{"data":1,"delay":-1}]', '[{"priority":1}]'),
        *(
            '"PUSH"',
            '"start"',
            '"ping"',
            '"sTaTs"',
            '"\u017ftats"',
            '"PULLB"',
            '"NOPE"',
            '"\\u0050ING"',
        ),
    )
)
"""Well-formed values, right and wrong ones for any field."""

MEMBERS: Final = tuple(
    member.encode()
    for member in (
        *(
            '"rid":1,',
            '"rid":true,',
            '"rid":null,',
            '"cmd":"PING",',
            '"c\\u006dd":"stats",',
        ),
        *('"ttl":5,', '"ttl":0,', '"unique_key":"k",', '"unique_key":7,', '"req_key":"",'),
        *(
            '"unique":"done",',
            '"unique":"x",',
            '"result":[1],',
            '"wait":1,',
            '"percent":101,',
        ),
        *('"queue":"z",', '"queue":5,', '"queue":"\\u0085",', '"queue":"",', '"data":[0],'),
        *(
            '"id":1,',
            '"id":"x",',
            '"attempt":1,',
            '"attempt":0,',
            '"priority":1,',
            '"x":-1,',
        ),
        *('"jitter":1,', '"lease":1,', '"count":5,', '"jobs":[],', '"ids":[7],', '"x":{},'),
        *(
            '"pri\\u006frity":2,',
            '"error":"e",',
            '"error":1,',
            '"timeout":1.5,',
            '"delay":1,',
        ),
    )
)
"""Well-formed members of an object, to put behind a comma or a brace."""

PIECES: Final = (
    *VALUES,
    *MEMBERS,
    *(bytes([code]) for code in b"{}[]\",:\\ \t\r\n-+.eE019/'"),
    *(b"NaN", b"Infinity", b"-Infinity", b"tru", b"nulL", b"True", b"00", b"01", b"-01"),
    *(b"1.", b".5", b"-", b"1e", b"0x1", b"1_0", b"[1,]", b'{"a":1,}', b"[,]", b"[1 2]"),
    *(b"\\ud800", b"\\udc00", b"\\uD83D\\uDE00", b"\\\\ud800", b"\\\\\\ud800", b"\\u0041"),
    *(b"\\u12", b"\\u00zz", b"\\x", b"\\'", b"\\0", b"\\/", b'\\"', b"\\\\", b"\\u0000"),
    *(bytes([code]) for code in (0, 1, 11, 12, 31, 127, 128, 191, 192, 237, 254, 255)),
    *(char.encode() for char in "é€😀\u2028\x85\ufeff\u00a0\ufffd"),
    *(b"\xc0\x80", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xe2\x82"),
    *(b"\xf0\x9f\x98", b"\xe0\x80\x80", b"\xf8\x88\x80\x80\x80"),
)
"""Anything else that may stand, or must not stand, somewhere in a line."""
