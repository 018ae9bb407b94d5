// A client of a WebSocket: node client.mjs PORT HOST. Says something twice and shows what it hears.
import WebSocket from "ws";

const [port, host] = process.argv.slice(2);
const socket = new WebSocket(`ws://127.0.0.1:${port}/socket`, { headers: { host } });
let heard = 0;
socket.on("open", () => socket.send("hello"));
socket.on("message", (message) => {
	console.log(String(message));
	heard += 1;
	if (heard === 2) socket.close();
	else socket.send("again");
});
socket.on("error", (error) => {
	console.error(error);
	process.exit(1);
});
