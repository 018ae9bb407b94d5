// A real OpenID provider (npm oidc-provider) on a free port, and a few knobs for tests below /test/.
// Prints its address when it is ready; ends with its standard input.
//
//   node provider.mjs ORIGIN-OF-THE-SERVER-UNDER-TEST

import { createServer } from "node:http";
import { generateKeyPairSync } from "node:crypto";
import Provider from "oidc-provider";

const origin = process.argv[2];
const accounts = new Map(); // name → claims that a test has set
let generation = 0;
let algorithm = "RS256";
let method = "client_secret_basic"; // how clients say who they are

function newKey() {
  generation += 1;
  const kinds = {
    RS256: ["rsa", { modulusLength: 2048 }],
    PS256: ["rsa", { modulusLength: 2048 }],
    ES256: ["ec", { namedCurve: "P-256" }],
    EdDSA: ["ed25519", {}],
  };
  const { privateKey } = generateKeyPairSync(...kinds[algorithm]);
  return { ...privateKey.export({ format: "jwk" }), use: "sig", alg: algorithm, kid: `key-${generation}` };
}

function make(issuer) {
  const client = (id, more) => ({
    client_id: id,
    client_secret: "secret of the client, long enough for a key",
    redirect_uris: [`${origin}/-/oidc/callback`],
    post_logout_redirect_uris: [`${origin}/-/sign-out`, `${origin}/-/admin/sign-out`],
    grant_types: ["authorization_code"],
    response_types: ["code"],
    id_token_signed_response_alg: algorithm,
    token_endpoint_auth_method: method,
    ...more,
  });
  const api = "https://shop.example/odata";
  const provider = new Provider(issuer, {
    clients: [
      client("stoa"),
      client("stoa-public", { token_endpoint_auth_method: "none", client_secret: undefined }),
      client("report", { grant_types: ["client_credentials"], response_types: [], redirect_uris: [] }),
    ],
    clientAuthMethods: [method, "none"],
    enabledJWA: { idTokenSigningAlgValues: ["RS256", "PS256", "ES256", "EdDSA"] },
    jwks: { keys: [newKey()] },
    cookies: { keys: ["a key for cookies of a test"] },
    claims: { openid: ["sub"], profile: ["name", "preferred_username", "groups"], email: ["email", "email_verified"] },
    // Claims come in the ID token for one client, and by the user info endpoint for the others.
    conformIdTokenClaims: process.env.CLAIMS !== "token",
    pkce: { required: () => true },
    async findAccount(_, name) {
      return {
        accountId: name,
        claims: async () => ({ sub: `sub-of-${name}`, preferred_username: name, name: `${name} of the company`, groups: [], ...accounts.get(name) }),
      };
    },
    // Everybody has consented already.
    async loadExistingGrant(context) {
      const { client, session, params } = context.oidc;
      const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope(params.scope);
      await grant.save();
      return grant;
    },
    async extraTokenClaims(_, token) {
      return token.kind === "ClientCredentials" ? { preferred_username: "report", groups: accounts.get("report")?.groups ?? [] } : undefined;
    },
    features: {
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      rpInitiatedLogout: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => ({ scope: "read", audience: resource === api ? api : resource, accessTokenFormat: "jwt", accessTokenTTL: 300, jwt: { sign: { alg: algorithm } } }),
      },
    },
    ttl: { AccessToken: 300, AuthorizationCode: 60, IdToken: 300, Interaction: 300, Session: 300, Grant: 300 },
  });
  provider.on("server_error", (_, error) => console.error(error));
  return provider;
}

let issuer;
let handle;
let isAway = false;
const server = createServer((request, response) => {
  const url = new URL(request.url, issuer);
  if (url.pathname.startsWith("/test/")) {
    switch (url.pathname) {
      case "/test/rotate": // other keys; the old ones are gone
        algorithm = url.searchParams.get("algorithm") ?? algorithm;
        method = url.searchParams.get("method") ?? method;
        handle = make(issuer).callback();
        break;
      case "/test/claims":
        accounts.set(url.searchParams.get("name"), JSON.parse(url.searchParams.get("claims")));
        break;
      case "/test/away": // every answer is an error, or not
        isAway = url.searchParams.get("away") === "yes";
        break;
    }
    return response.end("done");
  }
  if (isAway) return response.writeHead(503).end();
  return handle(request, response);
});
server.listen(0, "127.0.0.1", () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  handle = make(issuer).callback();
  console.log(issuer);
});
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
