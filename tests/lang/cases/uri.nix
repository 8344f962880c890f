[ http://example.org/x?y=1&z=%20 x:y ]
