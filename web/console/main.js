/**
 * The operations page.
 */

import { begin } from "../shared/begin.js";
import { ConsolePage } from "./page.js";

await begin(
  { page: "console", title: "Parley operations", admin: true },
  (place, api) => new ConsolePage(place, api).begin()
);
