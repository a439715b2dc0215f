"""Servers that misbehave on purpose: a proxy with faults, and a hostile origin.

`FaultProxy` stands between a client and a real HTTP(S) server; `Origin` answers by itself. Both
take rules: which request, and what goes wrong with it.

```python
with FaultProxy("https://127.0.0.1:6443", tls=True) as proxy:
    rule = proxy.on("GET", r"/log\\b", nth=2).truncate(1000)
    …                      # a client that talks to proxy.url, trusting proxy.ca_file
    rule.wait()            # until the fault has happened
    assert proxy.sent("PATCH", "/uploads/") == 0
```
"""

from tests.support.faults.connection import Exchange
from tests.support.faults.origin import Origin
from tests.support.faults.proxy import FaultProxy
from tests.support.faults.rules import Rule
from tests.support.faults.wire import Answer, Incoming

__all__ = ["Answer", "Exchange", "FaultProxy", "Incoming", "Origin", "Rule"]
