// Runs before the page is drawn, so that it never shows in the other theme first.
try {
  const kept = localStorage.getItem("theme");
  if (kept === "light" || kept === "dark") document.documentElement.classList.add(kept);
} catch {
  // Without storage the theme follows the system.
}
