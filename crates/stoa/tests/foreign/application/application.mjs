// An application that keeps its sessions in memory: node application.mjs NAME. Tells its port in the first line.
import express from "express";
import session from "express-session";
import { WebSocketServer } from "ws";

const name = process.argv[2];
const application = express();
let isWell = true;

application.set("trust proxy", true);
application.use(session({ secret: "for tests", resave: false, saveUninitialized: false }));
application.get("/health", (_, response) => response.sendStatus(isWell ? 200 : 503));
application.post("/test/health/:state", (request, response) => {
	isWell = request.params.state === "well";
	response.end();
});
application.get("/sign-in/:user", (request, response) => {
	request.session.user = request.params.user;
	response.json({ name });
});
application.get("/me", (request, response) => {
	response.json({ name, user: request.session.user ?? null });
});
application.get("/client", (request, response) => {
	response.json({ address: request.ip, protocol: request.protocol, host: request.hostname });
});
application.use((request, response) => response.status(404).send(`${name} does not know ${request.path}`));

const server = application.listen(0, "127.0.0.1", () => console.log(server.address().port));
new WebSocketServer({ server, path: "/socket" }).on("connection", (socket) => {
	socket.on("message", (message) => socket.send(`${name} heard ${message}`));
});
