vcl 4.1;
# The cache of an edge. How long an object is kept is said by the hops before the sources, in Cache-Control.

backend nowhere none;
backend source_0 {
    .path = "@BASE@/run/http/source-0.sock";
    .connect_timeout = 1s;
    .first_byte_timeout = 4s;
    .between_bytes_timeout = 4s;
    .probe = {
        .request = "GET /ping HTTP/1.1" "Host: telarchy" "Connection: close";
        .expected_response = 204;
        .interval = 1s;
        .timeout = 2s;
        .window = 3;
        .threshold = 2;
        .initial = 2;
    }
}
backend source_1 {
    .path = "@BASE@/run/http/source-1.sock";
    .connect_timeout = 1s;
    .first_byte_timeout = 4s;
    .between_bytes_timeout = 4s;
    .probe = {
        .request = "GET /ping HTTP/1.1" "Host: telarchy" "Connection: close";
        .expected_response = 204;
        .interval = 1s;
        .timeout = 2s;
        .window = 3;
        .threshold = 2;
        .initial = 2;
    }
}

sub vcl_recv {
    if (req.method != "GET" && req.method != "HEAD") {
        return (synth(405));
    }
    unset req.http.Cookie;
    return (hash);
}

sub vcl_hash {
    hash_data(req.url); # without token: nginx took it off
    return (lookup);
}

sub vcl_backend_fetch {
    # Telarchy-Sources is `sources-2-0-1`, the chosen one first; each further try takes the next of them.
    set bereq.http.X-Pick = regsub(bereq.http.Telarchy-Sources, "^sources-", "");
    if (bereq.retries >= 1) {
        set bereq.http.X-Pick = regsub(bereq.http.X-Pick, "^[0-9]+-?", "");
    }
    if (bereq.retries >= 2) {
        set bereq.http.X-Pick = regsub(bereq.http.X-Pick, "^[0-9]+-?", "");
    }
    if (bereq.retries >= 3) {
        set bereq.http.X-Pick = regsub(bereq.http.X-Pick, "^[0-9]+-?", "");
    }
    set bereq.http.X-More = regsub(bereq.http.X-Pick, "^[0-9]+-?", "");
    set bereq.http.X-Pick = regsub(bereq.http.X-Pick, "-.*$", "");
    set bereq.backend = nowhere;
    if (bereq.http.X-Pick == "0") {
        set bereq.backend = source_0;
    }
    elsif (bereq.http.X-Pick == "1") {
        set bereq.backend = source_1;
    }
    unset bereq.http.X-Pick;
}

sub vcl_backend_response {
    if (beresp.status >= 500 && bereq.http.X-More != "") {
        return (retry);
    }
    set beresp.grace = 0s;
    set beresp.keep = 0s;
    unset beresp.http.Vary;
    unset beresp.http.Set-Cookie;
    if (beresp.status != 200) {
        # Kept for nobody: what is not there yet may be there in a moment.
        set beresp.ttl = 0s;
        set beresp.uncacheable = false;
        return (deliver);
    }
    # Nobody gets a playlist before it has come whole; segments are passed on as they come.
    if (bereq.url ~ "\.m3u8$") {
        set beresp.do_stream = false;
    }
    return (deliver);
}

sub vcl_backend_error {
    if (bereq.http.X-More != "") {
        return (retry);
    }
    set beresp.http.Retry-After = "1";
    set beresp.body = "";
    set beresp.ttl = 0s;
    set beresp.grace = 0s;
    return (deliver);
}

sub vcl_deliver {
    if (obj.hits > 0) {
        set resp.http.X-Cache = "HIT";
    } else {
        set resp.http.X-Cache = "MISS";
    }
    unset resp.http.X-Varnish;
    unset resp.http.Via;
    unset resp.http.Age;
    return (deliver);
}
