// The status of an order as a mark with a word.

import { element } from "./dom.js";
import { orderStatus } from "./labels.js";

export const statusMark = (status) => element("span", { class: "status", "data-status": status }, orderStatus[status] ?? status);
