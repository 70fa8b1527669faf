/**
 * The chat page.
 */

import { begin } from "../shared/begin.js";
import { ChatPage } from "./page.js";

await begin({ page: "chat", title: "Parley", admin: false }, (place, api) => new ChatPage(place, api).begin());
