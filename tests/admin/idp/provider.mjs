// A real identity provider for one test: everybody is signed in at once as whoever GET /who?name=… has chosen.
import { createServer } from "node:http";
import { generateKeyPairSync } from "node:crypto";
import Provider from "oidc-provider";

const [port, clientId, clientSecret, redirect] = process.argv.slice(2);
const accounts = {
  ada: { sub: "ada", name: "Ada Lovelace", email: "ada@example.org", email_verified: true, groups: ["staff", "dirigent-admins"] },
  bob: { sub: "bob", name: "Bob", email: "ada@example.org", email_verified: false, groups: ["staff"] },
  eve: { sub: "eve", name: "Eve", email: "eve@example.org", email_verified: true, groups: ["guests"] },
};
let who = "ada";

const key = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" });
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: [redirect] }],
  jwks: { keys: [{ ...key, use: "sig", alg: "RS256" }] },
  cookies: { keys: ["of-a-test"] },
  conformIdTokenClaims: false,
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "groups"] },
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, id) => ({ accountId: id, claims: async () => accounts[id] }),
});
const answer = provider.callback();

createServer(async (request, response) => {
  const url = new URL(request.url, `http://127.0.0.1:${port}`);
  if (url.pathname === "/who") {
    who = url.searchParams.get("name");
    response.end("ok");
    return;
  }
  if (!url.pathname.startsWith("/interaction/")) {
    answer(request, response);
    return;
  }
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  let result;
  if (who === "nobody") {
    result = { error: "access_denied" };
  } else if (prompt.name === "login") {
    result = { login: { accountId: who, remember: false } };
  } else {
    const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    result = { consent: { grantId: await grant.save() } };
  }
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
}).listen(Number(port), "127.0.0.1", () => console.log("ready"));
