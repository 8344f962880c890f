"""A small image of a portable service, as `mksquashfs -b 4096 -comp gzip -nopad` makes it, and what is in it."""

from __future__ import annotations

import base64

NUMBERS = "".join(f"{number}\n" for number in range(1, 3001)).encode()
PROGRAM = "/nix/store/0000000000000000000000000000000a-web"
UNIT = f"[Service]\nExecStart={PROGRAM}/web\n"
OS_RELEASE = {"ID": "nixos", "PORTABLE_ID": "web", "PORTABLE_PRETTY_NAME": 'A "web" server'}

IMAGE = base64.b64decode(
    """
    aHNxcxUAAAABAAAAABAAAAEAAAABAAwAwAIBAAQAAACOAgAAAAAAAAQXAAAAAAAA/BYAAAAAAAD//////////88UAAAAAAAAnRUAAAAAAACj
    FgAAAAAAAO4WAAAAAAAAeNod18lhJDEMQ9G7oinuZP6J9Uff4RkbTyWR9vzFy1ev37x99+x7Zs/8WTzLZ/Wsn82zfXbPv+f23J/H83xez/v5
    PN/n9+J7YS/4J+NFvqgX/WJe7It7+b20l/6S/zFf1st+OS/35b36XtkrfxWv+IXqVb+aV/vqXn+v7bW/jtf5mt+3X8/rfX1vvjf2xt/Em3xT
    b/hz5s2+ubffW3vrb+Ntvq23/Za/dt/eu++dvfN38S7f1bt+N+8oQ21Qx0cfH4V8NPJRyUcnH6V8tPJRy0fuXxs5FafmVJ26U3lqT/XRn1Gg
    ufolR4dGiUaLRo1Gj0aRRpNGlUaXFoIgR51Gn0ahRqNGpUanRqlGq0atlhIjR7NGtUa3RrlGu0a9Rr9GwUbDVqIlR8lGy0bNRs9G0UbTRtVG
    10bZ1joD5OjbKNxo3Kjc6Nwo3WjdqN3o3UaHhRzVG90b5RvtG/Ub/RsAhoBBYKtTRQ4Fg8FwMCAMCYPCsDAwDA07HT+dPw4gHo6H4+F4OB6O
    h+PheDgebjqo5PBwPBwPx8PxcDwcD9d51oH+n2hyOtM61DrVOtY61zrYeDgejoeHjj45PBwPx8PxcDwcD8fD8XA8PPWNkMPD8XA8HA/Hw/Fw
    PBwPx8NLHxM5PBwPx8PxcDwcD8fD8XA8vPXVkcPD8XA8HA/Hw/FwPBwPx8NHnyc5PBwPx8PxcDwcD8fD8XA8fPUdk8PD8XA8HA/Hw/FwPBwP
    x8NPH7y+eD55PAKPwCPwCDwCj8Aj8Ag8wnQ1kMMj8Ag8Ao/AI/AIPAKPwCNcdwg5PAKPwCPwCDwCj9BNo6tGd83/siGn60b3jS4c3Ti6cvAI
    PAKPwCNStxI5PAKPwCPwCDwCj8Aj8Ag8onR9kcMj8Ag8Ao/AI/AIPAKPwCNa9xw5PAKPwCPwCDwCj8Aj8Ag8YnQhksMj8Ag8Ao/AI/AIPAKP
    wCNWNyc5PAKPwCPwCDwCj8Aj8Ag84nTF6o7lksUj8Ug8Eo/EI/FIPBKPxCNNlzE5PBKPxCPxSDwSj8Qj8Ug80nVrk8Mj8Ug8Eo/EI/FIPBKP
    xCND1zs5PBKPxCPxSDxSb4AeAb0Cegb+7wA5vQR6CvQW6DHAI/FIPBKPxCNLDwY5PBKPxCPxSDwSj8Qj8Ug8svWykMMj8Ug8Eo/EI/FIPBKP
    xCNHTxA5PBKPxCPxSDwSj8Qj8Ug8cvVWkcMj8Ug8Eo/EI/FIPBKPxCNPj5peNZ41PAqPwqPwKDwKj8Kj8Cg8yvT8kcOj8Cg8Co/Co/AoPAqP
    wqNc7yQ5PAqPwqPwKDwKj8Kj8Cg8KvSgksOj8Cg8Co/Co/AoPAqPwqNSLy85PAqPwqPwKL3Oep71PuuB1gv9f6LJ6ZHWK61nGo/Co/AoPAqP
    wqNabzk5PAqPwqPwKDwKj8Kj8Cg8avTok8Oj8Cg8Co/Co/AoPAqPwqNW0wE5PAqPwqPwKDwKj8Kj8Cg86jRGaI5gkMCj8Wg8Go/Go/FoPBqP
    xqNNAwc5PBqPxqPxaDwaj8aj8Wg82jWZkMOj8Wg8Go/Go/FoPBqPxqNDIww5PBqPxqPxaDwaj8aj8Wg8OjXrkMOj8Wg8Go/Go/FoPBqPxqNL
    QxE5PBqPxqM1N2lw0uSk0Umzk4an//RETvOTBig8Go/Go/FoPBqPxqNHYxY5PBqPxqPxaDwaj8aj8Wg8ejWPkcOj8Wg8Go/Go/FoPBqPxqNP
    g5smN0Y3PAaPwWPwGDwGj8Fj8Bg8xjTikcNj8Bg8Bo/BY/AYPAaPwWNcsyA5PAaPwWPwGDwGj8Fj8Bg8JjQ0ksNj8Bg8Bo/BY/AYPAaPwWNS
    0yU5PAaPwWPwGDwGj8Fj8Bg8pjSGksNj8Bg8Bo/BY/AYPAaPwWNa8yo5PAaP0USrkVYzrYZaTbUaazXX/gdbchpt8Rg8Bo/BY/AYPAaPwWNW
    EzA5PAaPwWPwGDwGj8Fj8Bg85jQqa1ZmWMZj8Vg8Fo/FY/FYPBaPxWNNQzU5PBaPxWPxWDwWj8Vj8Vg81jV9k8Nj8Vg8Fo/FY/FYPBaPxWND
    Yzo5PBaPxWPxWDwWj8Vj8Vg8NjXPk8Nj8Vg8Fo/FY/FYPBaPxWNLgz85PBaPxWPxWDwWj8Vj8Vg8trUhkMNj8Vg8Fo/FY/FYPBaPxWNHqwQ5
    PFa7hpYNbRtaN7RvaOHQxqGV479zkMNj8Vg8Fo/FY/FYPBaPxWNPy4m2E9YTPA6Pw+PwODwOj8Pj8Dg8zrTGkMPj8Dg8Do/D4/A4PA6Pw+Nc
    +w45PA6Pw+PwODwOj8Pj8Dg8LrQYkcPj8Dg8Do/D4/A4PA6Pw+NSGxQ5PA6Pw+PwODwOj8Pj8Dg8rrRqkcPj8Dg8Do/D4/A4PA6Pw+NaOxk5
    PA6Pw+PwODwOj8Pj8Dg8brS8kcPj8Dg8Do/D4/A4PA6Pw+NWWx45bYFaA7UHahHUJqhVULuglkFtg/918L8PaiH8b4T/lfC/E/6Xwv9W+F8L
    /3vhfzHUZvjZf4XUT2g5/LQdfloPP+2HnxbETxvipxXx0474aUn8/L916ie0J35aFD9tip9WxU+74qdl8dO2+Gld/LQvfvFfVPUTWhk/7Yyf
    lsZPW+OntfHT3vhpcfzyB+CWm5142hXRuYEcQRDAMF/RbNc/+Semg0OPFt6/96uQlJKWkZWT7y/9kyeOdrSjHe1oRzvaMY5xjGMc4xjHOMYx
    jnGsYx3rWMc61rGOdaxjHec4xznOcY5znOMc5zjH5/gcn+NzfI7P8Tk+x+f4/o73+8mTkJSSlpGVE8dzPMdzPMdzPMdzPMdzPEc4whGOcIQj
    HOEIRzjCkY50pCMd6UhHOtKRjnSUoxzMH/PH/DF/zB/zx/wxf8wf88f8MX/MH/PH/DF/zB/zx/wxf8wf88f8MX/MH/PH/DF/zB/zx/wxf8wf
    88f8MX/MH/PH/DF/zB/zx/wxf8wf88f8MX/MH/PH/DF/zB/zx/wxf8wf82AezIN5MA/mwTyYB/NgHsyDeTAP5sE8mAfzYB7Mg3kwD+bBPJgH
    82AezIN5MA/mwTyYB/NgHsyDeTAP5sE8mAfzYB7Mg3kwD+bBPJgH82AezIN5MA/mwTyYB/NgHsyDeTAP5sE8mAfzYB7Mg3kwD+bBPJgH82Ae
    zIN5MA/mwTyYB/NgHsyDeTAP5sE8mAfzYB7Mg3kwD+bBPJgH82AezIN5ME/myTyZJ/NknsyTeTJP5sk8mSfzZJ7Mk3kyT+bJPJkn82SezJN5
    Mk/myTyZJ/NknsyTeTJP5sk8mSfzZJ7Mk3kyT+bJPJkn82SezJN5Mk/myTyZJ/NknsyTeTJP5sk8mSfzZJ7Mk3kyT+bJPJkn82SezJN5Mk/m
    yTyZJ/NknsyTeTJP5sk8mSfzZJ7Mk3kyT+bJPJkn82SezJN5Mk/myTyZJ/NiXsyLeTEv5sW8mBfzYl7Mi3kxL+bFvJgX82JezIt5MS/mxbyY
    F/NiXsyLeTEv5sW8mBfzYl7Mi3kxL+bFvJgX82JezIt5MS/mxbyYF/NiXsyLeTEv5sW8mBfzYl7Mi3kxL+bFvJgX82JezIt5MS/mxbyYF/Ni
    XsyLeTEv5sW8mBfzYl7Mi3kxL+bFvJgX82JezIt5MS/mxbyYF/NiXsyLeTFv5s28mTfzZt7Mm3kzb+bNvJk382bezJt5M2/mzbyZN/Nm3syb
    eTNv5s28mTfzZt7Mm3kzb+bNvJk382bezJt5M2/mzbyZN/Nm3sybeTNv5s28mTfzZt7Mm3kzb+bNvJk382bezJt5M2/mzbyZN/Nm3sybeTNv
    5s28mTfzZt7Mm3kzb+bNvJk382bezJt5M2/mzbyZN/Nm3sybeTNv5s28mTfzYT7Mh/kwH+bDfJgP82E+zIf5MB/mw3yYD/NhPsyH+TAf5sN8
    mA/zYT7Mh/kwH+bDfJgP82E+zIf5MB/mw3yYD/NhPsyH+TAf5sN8mA/zYT7Mh/kwH+bDfJgP82E+zIf5MB/mw3yYD/NhPsyH+TAf5sN8mA/z
    YT7Mh/kwH+bDfJgP82E+zIf5MB/mw3yYD/NhPsyH+TAf5sN8mA/zYT7Mh/kwX+bLfJkv82W+zJf5Ml/my3yZL/NlvsyX+TJf5st8mS/zZb7M
    l/kyX+bLfJkv82W+zJf5Ml/my3yZL/NlvsyX+TJf5st8mS/zZb7Ml/kyX+bLfJkv82W+zJf5Ml/my3yZL/NlvsyX+TJf5st8mS/zZb7Ml/ky
    X+bLfJkv82W+zJf5Ml/my3yZL/NlvsyX+TJf5st8mS/zZb7Ml/kyX+bLfJkv82N+zI/5MT/mx/yYH/NjfsyP+TE/5sf8mB/zY37Mj/kxP+bH
    /Jgf82N+zI/5MT/mx/yYH/NjfsyP+TE/5sf8mB/zY37Mj/kxP+bH/Jgf82N+zI/5MT/mx/yYH/NjfsyP+TG/+f0HFPGzanjaFdG5gSRJDARB
    /qRZBJ6u1F+xG2Occ8r+q+/qv79EWkZWTn7yyfvL7584fo6f4+f4OX6On+Pn+Dk+x+f4HJ/jc3yOz/E5PsfneI7neI7neI7neI7neI73d7x/
    /6Qk0jKycvKTTxzlKEc5ylGOcpSjHOUoRxxxxBFHHHHEEUcccbSjHe1oRzva0Y52tKMd4xjHOMYxjnGMYxzjGMc61rGOdaxjHetYxzrWcQ7m
    j/lj/pg/5o/5Y/6YP+aP+WP+mD/mj/lj/pg/5o/5Y/6YP+aP+WP+mD/mj/lj/pg/5o/5Y/6YP+aP+WP+mD/mj/n7M8+/P/O/lERaRlZOfvKJ
    oxzlKEc5ylGOcpSjHOWII4444ogjjjjiiCOOdrSjHe1oRzva0Y52tGMc4xjHOMYxjnGMYxzjWMc61rGOdaxjHetYxzrOcY5znOMc5zjHOc5x
    jp/j5/g5fo6f4+f4OX6On+Pn+Byf43N8js/xOT7H5/gcn+M5nuM5nuM5nuM5nuM5mBfzYl7Mi3kxL+bFvJgX82JezIt5MS/mxbyYF/NiXsyL
    eTEv5sW8mBfzYl7Mi3kxL+bFvJgX82JezIt5MS/mxbyYF/NiXsyLeTEv5sW8mBfzYl7Mi3kxL+bFvJgX82JezIt5MS/mxbyYF/NiXsyLeTEv
    5sW8mBfzYl7Mi3kxL+bFvJgX82JezIt5MS/mxbyYF/NiXsyLeTEv5sW8mBfzYl7Mi3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mY
    h3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mY
    h3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3mYh3kzb+bNvJk382bezJt5M2/mzbyZN/Nm3sybeTNv5s28mTfzZt7Mm3kzb+bN
    vJk382bezJt5M2/mzbyZN/Nm3sybeTNv5s28mTfzZt7Mm3kzb+bNvJk382bezJt5M2/mzbyZN/Nm3sybeTNv5s28mTfzZt7Mm3kzb+bNvJk3
    82bezJt5M2/mzbyZN/Nm3sybeTNv5s28mTfzZt7Mm3kzb+bNvJkP82E+zIf5MB/mw3yYD/NhPsyH+TAf5sN8mA/zYT7Mh/kwH+bDfJgP82E+
    zIf5MB/mw3yYD/NhPsyH+TAf5sN8mA/zYT7Mh/kwH+bDfJgP82E+zIf5MB/mw3yYD/NhPsyH+TAf5sN8mA/zYT7Mh/kwH+bDfJgP82E+zIf5
    MB/mw3yYD/NhPsyH+TAf5sN8mA/zYT7Mh/kwH+bDfJgP82E+zIf5Ml/my3yZL/NlvsyX+TJf5st8mS/zZb7Ml/kyX+bLfJkv82W+zJf5Ml/m
    y3yZL/NlvsyX+TJf5st8mS/zZb7Ml/kyX+bLfJkv82W+zJf5Ml/my3yZL/NlvsyX+TJf5st8mS/zZb7Ml/kyX+bLfJkv82W+zJf5Ml/my3yZ
    L/NlvsyX+TJf5st8mS/zZb7Ml/kyX+bLfJkv82W+zJf5Ml/my3yZH/NjfsyP+TE/5sf8mB/zY37Mj/kxP+bH/Jgf82N+zI/5MT/mx/yYH/Nj
    fsyP+TE/5sf8mB/zY37Mj/kxP+bH/Jgf82N+zI/5MT/mx/yYH/NjfsyP+TE/5sf8mB/zY37Mj/kxP+bH/Jgf82N+zI/5MT/mx/yYH/NjfsyP
    +TE/5sf8/sz/BzvOtbB42hXRuYEkQRDEMP2smXq6MsJ/x26hUKOE/fL7t1+WbDly5ZMnI5H+pY466qijjjrqqKOO/h3z+8mSLUeufPJkJOJY
    juVYjuVYjuVYjuVYjuXYju3Yju3Yju3Yju3Yju04juM4juM4juM4juM4juO4juu4juu4juu4juu4juv4HJ/jc3yOz/E5Psfn+Byf4zme4zme
    4zme4zme4zmeYxzjGMc4xjGOcYxjHONgPsyH+TAf5sN8mA/zYT7Mh/kwH+bDfJgP82E+zIf5MA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/z
    MA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/z
    MA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMA/zMC/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/z
    Mi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/z
    Mi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/zMi/z/pmf35/5fy/fFUV42vN0sc3LrMgv5grwDwpxdPJxjfd0sS1PTULwA4JcQ0Ii4/0cfV1t
    lRwVYpSAsjFKCsWpRWWpRUpc0cFARmZyaiyXa0VqcnBJYlGJrT7QSP3ikvyiVH0D/CBRF2iaPsg+AF6vKEzMAHjaY2R4y8gABIxQDAJMQMwM
    xKJg9hK4PDNU/j8QMMDVIuRZGFCBI5o8KwH9HGh6PdDkObHIMyK5nx3J/eZAzIYmzwaVB/lDlsEErA5ZnglJPpTBD+x/Zob/cHleJHP09PTL
    U5OQXccHxAlIvnM1Y2CYC3SSE9DbmkDMyIRqGw+Sa9UYFjBwo7mGG8k11gyHGbjQ5LmQ5GUYfoNdiyzPjxKbIozo8gIE5AUJyAsRkBdBkxdG
    kxdGcr8UFv2iUHmQPzMYtBnFgDQA+4gqZfIAeNp9T9tNAzEQ3PURwoUQHqIAJL7vRAWICqiBw7dRLO7syHYO+KMCaqACakgF1EAF1MB68UV8
    ZaXRjsea0SzC3xwx3hgK5uDiinwdyA9G0wcgizN4psdRyhaYMrYMhAmE1xCpL/JP2leSVkLf6JWxVJn2TqJKcKHy1FET6IHfKdxTcN1Qa2eX
    32xGOMyBLebEk5SIKbmAztinW0Txcq2xzpxhMdW5hpv901T/fMeMd/EdQIjO7+67ZNwrkNaxX0+zjLutoKUBuEmiFPUnlkKtefnCBdMC1t7p
    HzwV2W/sQp0J5etqdT4mW3UhdGj8L8qHPeoQgGkUAAAAAAAAZgAAAAAAAACRFgAAAAAAAEEAeNpjYIACRgilAOU6QOkEKP0ASh+A0g1QegGU
    XgfV3wel82DmQWk7KH0OSr+D0nxMEFoPSudBaT8o3QelAdNsCN2rFgAAAAAAAASAAAAAAPYWAAAAAAAA
    """
)
