// Who may play, and how a viewer is told from another without writing down who it is. The rules of tokens are those
// of streaming/tokens.py. `telarchy_tokens` is tokens.json, read when nginx starts and at each reload.

// What stands outside of functions is run for each request anew.

import crypto from 'crypto';
import fs from 'fs';

const GRACE = 900;        // seconds for which a session that runs goes on after its token's end
const STEP = 300;         // an edge's own tokens change this often (tokens.own_end)
const GENERATION = /^g[0-9]{1,10}-[0-9a-f]{8}$/;

function signature(secret, stream, expires) {
    return crypto.createHmac('sha256', secret).update(expires + '\n' + stream).digest('base64url');
}

// Takes as long for equal texts as for others of that length.
function same(one, other) {
    let difference = one.length ^ other.length;
    for (let i = 0; i < one.length; i++) {
        difference |= one.charCodeAt(i) ^ other.charCodeAt(i % other.length);
    }
    return difference === 0;
}

function secrets(stream) {
    const table = typeof telarchy_tokens === 'undefined' ? {} : telarchy_tokens.streams;
    return Object.prototype.hasOwnProperty.call(table, stream) ? table[stream] : [];
}

// valid | grace | expired | forged
function judge(stream, given, expires, seconds) {
    let genuine = false;
    const known = secrets(stream);
    for (let i = 0; i < known.length; i++) {
        if (same(signature(known[i], stream, expires), given)) {
            genuine = true;
        }
    }
    if (!genuine) {
        return 'forged';
    }
    if (seconds < Number(expires)) {
        return 'valid';
    }
    return seconds < Number(expires) + GRACE ? 'grace' : 'expired';
}

// What to answer a request for a private stream: ok, or the status of a refusal. A client that writes down the addresses
// it fetches shows its token in a header instead.
function verdict(r) {
    try {
        const v = r.variables;
        let given = v.t_sig;
        let expires = v.t_exp;
        if (!given) {
            const shown = /^([A-Za-z0-9_-]{43})\/([1-9][0-9]{9})$/.exec(r.headersIn['Telarchy-Token'] || '');
            if (shown === null) {
                return '403';
            }
            given = shown[1];
            expires = shown[2];
        }
        const found = judge(v.t_stream, given, expires, Date.now() / 1000);
        if (found === 'valid' || (found === 'grace' && v.t_kind !== 'master')) {
            return 'ok';
        }
        return found === 'forged' ? '403' : '410';
    } catch (e) {
        return '403';
    }
}

// The path prefix with which an edge asks its source for a private stream; '' for others.
function own(r) {
    const stream = r.variables.t_stream;
    const known = secrets(stream);
    if (known.length === 0) {
        return '';
    }
    const expires = String((Math.floor(Date.now() / 1000 / STEP) + 3) * STEP);
    return '/p/' + signature(known[0], stream, expires) + '/' + expires;
}

// 16 hex digits that are the same for a viewer until nginx starts anew, and lead nowhere.
function viewer(r) {
    const v = r.variables;
    return crypto.createHash('sha256')
        .update((process.env.TELARCHY_SALT || '') + v.remote_addr + '\n' + v.http_user_agent + '\n' + v.t_sig)
        .digest('hex').slice(0, 16);
}

// Where the generation that plays now begins, seen from the address that stands for all of them; '' without one. What a
// path of a token leads to is below that path, too.
function present(r) {
    try {
        const told = fs.readFileSync('spool/' + r.variables.t_stream + '/current', 'utf8').trim();
        return GENERATION.test(told) ? told + '/master.m3u8' : '';
    } catch (e) {
        return '';
    }
}

export default {verdict, own, viewer, present};
