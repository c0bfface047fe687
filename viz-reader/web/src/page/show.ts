/**
 * Brings the painted image onto the canvas, scrolled. With a graphics processor by WebGL2: only the columns that are new go
 * there. Without one by putting the image: drawing with WebGL in software takes twice as long.
 */

export interface Band {
  top: number;
  height: number;
  /** The column of the image that is leftmost on the canvas. */
  start: number;
}

export interface Show {
  readonly kind: "webgl" | "image";
  draw(image: ImageData, bands: Band[], changed: { from: number; count: number }): void;
}

/** Names of what draws without a graphics processor. */
const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;

/** Whether WebGL2 is drawn by a graphics processor here. */
function accelerated(): boolean {
  const gl = document.createElement("canvas").getContext("webgl2", { failIfMajorPerformanceCaveat: true });
  const info = gl?.getExtension("WEBGL_debug_renderer_info");
  const name = gl && info ? String(gl.getParameter(info.UNMASKED_RENDERER_WEBGL)) : "";
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return gl !== null && !SOFTWARE.test(name);
}

/** `wish`: `webgl` or `image`; null: what is quicker here. */
export function showOn(canvas: HTMLCanvasElement, wish: string | null): Show {
  if (wish === "webgl" || (wish === null && accelerated())) {
    const gl = canvas.getContext("webgl2", { alpha: false, antialias: false, preserveDrawingBuffer: true });
    if (gl) return new WebGlShow(gl);
  }
  return new ImageShow(canvas.getContext("2d", { alpha: false })!);
}

class ImageShow implements Show {
  readonly kind = "image";

  constructor(private readonly context: CanvasRenderingContext2D) {}

  draw(image: ImageData, bands: Band[]): void {
    for (const { top, height, start } of bands) {
      const { width } = image;
      this.context.putImageData(image, -start, 0, start, top, width - start, height);
      if (start > 0) this.context.putImageData(image, width - start, 0, 0, top, start, height);
    }
  }
}

const VERTEX = `#version 300 es
uniform vec4 band; // top and height on the canvas, from 0 to 1; where the image begins; unused
out vec2 place;
void main() {
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  float y = band.x + corner.y * band.y;
  place = vec2(corner.x + band.z, y);
  gl_Position = vec4(corner.x * 2.0 - 1.0, 1.0 - y * 2.0, 0.0, 1.0);
}`;
const FRAGMENT = `#version 300 es
precision highp float;
uniform sampler2D image;
in vec2 place;
out vec4 colour;
void main() { colour = texture(image, place); }`;

class WebGlShow implements Show {
  readonly kind = "webgl";
  private readonly band: WebGLUniformLocation | null;
  private size = "";
  private last: ImageData | null = null;

  constructor(private readonly gl: WebGL2RenderingContext) {
    const program = gl.createProgram()!;
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]] as const) {
      const shader = gl.createShader(kind)!;
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    this.band = gl.getUniformLocation(program, "band");
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.REPEAT);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
  }

  draw(image: ImageData, bands: Band[], changed: { from: number; count: number }): void {
    const { gl } = this;
    const { width, height, data } = image;
    gl.viewport(0, 0, width, height);
    const size = `${width} ${height}`;
    if (size !== this.size) gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, width, height, 0, gl.RGBA, gl.UNSIGNED_BYTE, data);
    else if (image !== this.last || changed.count >= width) gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, height, gl.RGBA,
      gl.UNSIGNED_BYTE, data);
    else {
      gl.pixelStorei(gl.UNPACK_ROW_LENGTH, width);
      const first = changed.from % width;
      const here = Math.min(changed.count, width - first);
      for (const [x, count] of [[first, here], [0, changed.count - here]]) {
        if (count <= 0) continue;
        gl.pixelStorei(gl.UNPACK_SKIP_PIXELS, x);
        gl.texSubImage2D(gl.TEXTURE_2D, 0, x, 0, count, height, gl.RGBA, gl.UNSIGNED_BYTE, data);
      }
      gl.pixelStorei(gl.UNPACK_ROW_LENGTH, 0);
      gl.pixelStorei(gl.UNPACK_SKIP_PIXELS, 0);
    }
    this.size = size;
    this.last = image;
    for (const { top, height: tall, start } of bands) {
      gl.uniform4f(this.band, top / height, tall / height, start / width, 0);
      gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    }
  }
}
