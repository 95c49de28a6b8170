// Who may publish. nginx's rtmp part asks here about each publisher, at its start and every two seconds; the answer
// comes from keys.json, read anew each time, and needs no controller. Whatever goes wrong is a refusal.
//
// Runs in a single process (master_process off), so nothing here happens at the same time as something else here.
// Paths are relative to the endpoint's folder. A key's text is written nowhere.

import fs from 'fs';
import crypto from 'crypto';

const ATTEMPTS = 10;      // refused ones of an address, before it is refused unseen
const ATTEMPTS_SPAN = 60; // seconds from the first of them
const ADDRESSES = 256;    // kept in mind
const SILENT = 10;        // seconds without an update, after which a publisher counts as gone
const NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;
const REFUSALS = 'run/refusals.json';

function now() {
    return Math.floor(Date.now() / 1000);
}

function sha256(text) {
    return crypto.createHash('sha256').update(text).digest('hex');
}

// The fields of a notification. Of a field given twice the first counts: what a publisher adds comes last.
function fields(text) {
    const found = {};
    text.split('&').forEach((pair) => {
        const at = pair.indexOf('=');
        const name = pair.slice(0, at);
        if (at > 0 && found['f_' + name] === undefined) {
            found['f_' + name] = decodeURIComponent(pair.slice(at + 1).replace(/\+/g, ' '));
        }
    });
    return found;
}

// Takes as long for equal texts as for others of that length.
function same(one, other) {
    let difference = one.length ^ other.length;
    for (let i = 0; i < one.length; i++) {
        difference |= one.charCodeAt(i) ^ other.charCodeAt(i % other.length);
    }
    return difference === 0;
}

// A key as it was made: publishers put a slash before it when their server's address ends with one, and people copy a
// space along.
function bare(text) {
    return text.replace(/^[\s/]+|[\s/]+$/g, '');
}

// The entry of a key in keys.json, or null. Looks at all of them, found or not.
function find(text) {
    const digest = 'sha256:' + sha256(bare(text));
    let found = null;
    JSON.parse(fs.readFileSync('keys.json', 'utf8')).keys.forEach((one) => {
        const fits = typeof one.verifier === 'string' && one.verifier.length > 0 && same(digest, one.verifier);
        // Of two entries with one key, one that opens goes first.
        if (fits && (found === null || objection(found) !== '')) {
            found = one;
        }
    });
    if (found !== null && !(NAME.test(found.name) && NAME.test(found.stream))) {
        return null;
    }
    return found;
}

// Why a key does not open its stream, or ''.
function objection(key) {
    if (key.revoked !== false) {
        return 'revoked';
    }
    if (key.expires !== null && !(Number(key.expires) > now())) {
        return 'expired';
    }
    return '';
}

function write(path, text) {
    fs.writeFileSync(path + '.new~', text, {mode: 0o600});
    fs.renameSync(path + '.new~', path);
}

function remove(path) {
    try {
        fs.unlinkSync(path);
    } catch (e) {
        // is not there
    }
}

// Two lines at most: when it was last used and when last refused, the later one last.
function note(key, what) {
    try {
        const path = 'keyuse/' + key.name;
        const refusal = what !== 'used';
        let kept = [];
        try {
            kept = fs.readFileSync(path, 'utf8').split('\n').filter((line) =>
                line !== '' && line.endsWith(' used') === refusal).slice(-1);
        } catch (e) {
            // the first time
        }
        write(path, kept.concat([now() + ' ' + what, '']).join('\n'));
    } catch (e) {
        // A full disk is no reason to refuse or to let in.
    }
}

// --- publishers, by stream: who was let in, and when it was last heard of -------------------------------------------

function publisher(stream) {
    try {
        return JSON.parse(fs.readFileSync('run/publishers/' + stream, 'utf8'));
    } catch (e) {
        return null;
    }
}

// The stream that a connection publishes, or ''.
function streamOf(client) {
    const names = fs.readdirSync('run/publishers').filter((name) => NAME.test(name));
    for (let i = 0; i < names.length; i++) {
        const one = publisher(names[i]);
        if (one !== null && one.client === client) {
            return names[i];
        }
    }
    return '';
}

function admit(key, client, fresh) {
    write('run/publishers/' + key.stream, JSON.stringify({client: client, key: key.name, seen: now()}));
    if (fresh) {
        write('publishing/' + key.stream, key.name + '\n');
    }
}

function forget(client) {
    const stream = streamOf(client);
    if (stream !== '') {
        remove('publishing/' + stream);
        remove('run/publishers/' + stream);
    }
}

// --- addresses that were refused lately -----------------------------------------------------------------------------

function refusals() {
    try {
        return JSON.parse(fs.readFileSync(REFUSALS, 'utf8'));
    } catch (e) {
        return {};
    }
}

function mark(address) {
    return sha256((process.env.TELARCHY_SALT || '') + address).slice(0, 16);
}

function barred(address) {
    const one = refusals()[mark(address)];
    return one !== undefined && one[0] >= ATTEMPTS && one[1] + ATTEMPTS_SPAN > now();
}

function count(address) {
    try {
        const kept = {};
        const all = refusals();
        Object.keys(all).filter((one) => all[one][1] + ATTEMPTS_SPAN > now()).slice(-ADDRESSES + 1)
            .forEach((one) => { kept[one] = all[one]; });
        const own = mark(address);
        kept[own] = [(kept[own] === undefined ? 0 : kept[own][0]) + 1, kept[own] === undefined ? now() : kept[own][1]];
        write(REFUSALS, JSON.stringify(kept));
    } catch (e) {
        // Only the limit is lost; the refusal stands.
    }
}

// --- what nginx asks ------------------------------------------------------------------------------------------------

function publish(given) {
    if (barred(given.f_addr)) {
        return {status: 429};
    }
    const key = find(given.f_name);
    if (key === null) {
        count(given.f_addr);
        return {status: 403};
    }
    const reason = objection(key);
    if (reason !== '') {
        count(given.f_addr);
        note(key, 'refused:' + reason);
        return {status: 403};
    }
    const other = publisher(key.stream);
    if (other !== null && other.client !== given.f_clientid && other.seen + SILENT > now()) {
        note(key, 'refused:busy');
        return {status: 403};
    }
    admit(key, given.f_clientid, true);
    note(key, 'used');
    return {status: 302, stream: key.stream};
}

function update(given) {
    if (given.f_call === 'update_play') {
        return {status: 200}; // asked about players as well: here those are the ladders, which have no key
    }
    const key = find(given.f_name);
    if (key === null) {
        return {status: 403};
    }
    const reason = objection(key);
    if (reason !== '') {
        note(key, 'refused:' + reason);
        return {status: 403};
    }
    const stream = streamOf(given.f_clientid);
    if (stream !== '' && stream !== key.stream) {
        return {status: 403}; // the key is for another stream by now
    }
    const other = publisher(key.stream);
    if (stream === '' && other !== null && other.seen + SILENT > now()) {
        return {status: 403}; // somebody else was let in meanwhile
    }
    admit(key, given.f_clientid, stream === '' || publishingLost(stream));
    return {status: 200};
}

function publishingLost(stream) {
    try {
        fs.statSync('publishing/' + stream);
        return false;
    } catch (e) {
        return true;
    }
}

function done(given) {
    forget(given.f_clientid);
    return {status: 200};
}

function answer(r, decide) {
    let result = {status: 403};
    try {
        const given = fields(r.requestText);
        const told = given.f_app === 'ingest' && given.f_name && given.f_addr && /^[0-9]+$/.test(given.f_clientid);
        if (told && given.f_name.length <= 512) {
            result = decide(given);
        }
    } catch (e) {
        result = {status: 500};
    }
    if (result.stream !== undefined) {
        r.headersOut.Location = result.stream; // from here on the stream's name stands for the key
    }
    r.return(result.status);
}

export default {
    on_publish: (r) => answer(r, publish),
    on_update: (r) => answer(r, update),
    on_publish_done: (r) => answer(r, done),
};
